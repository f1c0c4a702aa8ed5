"""Networks of diffusers against diffusers itself: every option of UNet2DModel. pip install torch diffusers."""

import json

import jax
import numpy as np
import pytest

import interop
from configs.default import get_config
from files.refused import Refused
from models import create_model

torch = pytest.importorskip("torch", reason="pip install torch diffusers to compare with diffusers itself")
diffusers = pytest.importorskip("diffusers", reason="pip install diffusers to compare with diffusers itself")

SMALL = {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
DDPM = SMALL | {
    "attention_head_dim": None,
    "norm_eps": 1e-6,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "downsample_padding": 0,
}
NCSNPP = SMALL | {
    "time_embedding_type": "fourier",
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "mid_block_scale_factor": 2**0.5,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
}
RESNET = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "downsample_type": "resnet",
    "upsample_type": "resnet",
}
SAME = {
    "defaults": SMALL,
    "two blocks, three levels of equal width": SMALL
    | {
        "block_out_channels": (32, 32, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    },
    "one level": SMALL
    | {"block_out_channels": (32,), "down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)},
    "one head": SMALL | {"attention_head_dim": None},
    "heads of 16": SMALL | {"attention_head_dim": 16},
    "norm_eps": SMALL | {"norm_eps": 1e-2},
    "sine first": SMALL | {"flip_sin_to_cos": False},
    "freq_shift": SMALL | {"freq_shift": 1},
    "downsample_padding": SMALL | {"downsample_padding": 0},
    "groups": SMALL | {"norm_num_groups": 8},
    "widths of 48, odd ratios": SMALL | {"block_out_channels": (48, 72), "norm_num_groups": 12},
    "scale and shift": SMALL | {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 32},
    "scale and shift without middle attention": SMALL
    | {"resnet_time_scale_shift": "scale_shift", "add_attention": False},
    "residual blocks resample": SMALL | RESNET,
    "classes": SMALL | {"num_class_embeds": 5},
    "no middle attention": SMALL | {"add_attention": False},
    "no middle": SMALL | {"mid_block_type": None},
    "attention on the way down": SMALL | {"up_block_types": ("UpBlock2D", "UpBlock2D")},
    "attention on the way up": SMALL | {"down_block_types": ("DownBlock2D", "DownBlock2D")},
    "six channels out": SMALL | {"out_channels": 6},
    "grey, swish, oblong": SMALL | {"in_channels": 1, "out_channels": 1, "act_fn": "swish", "sample_size": (16, 8)},
    "ddpm": DDPM,
    "ddpm as unet": DDPM,
    "ddpm, centred inside": DDPM | {"center_input_sample": True},
    "ddpm, attention on the way down": DDPM | {"up_block_types": ("UpBlock2D", "UpBlock2D")},
    "ddpm, widths of no whole ratio": DDPM | {"block_out_channels": (64, 96)},
    "ncsnpp": NCSNPP,
    "ncsnpp, groups by width": NCSNPP | {"norm_num_groups": None},
    "ncsnpp, groups of the middle": NCSNPP | {"norm_num_groups": 16, "attn_norm_num_groups": 16},
    "ncsnpp of published width": NCSNPP | {"block_out_channels": (128, 128), "norm_num_groups": None},
    "ncsnpp of published width, other groups": NCSNPP | {"block_out_channels": (128, 128), "norm_num_groups": 8},
    "ncsnpp, attention on the first level": NCSNPP
    | {
        "block_out_channels": (64, 64),
        "down_block_types": ("AttnSkipDownBlock2D", "SkipDownBlock2D"),
        "up_block_types": ("SkipUpBlock2D", "AttnSkipUpBlock2D"),
    },
}
REFUSED = {
    "time_embedding_type": (SMALL | {"num_train_timesteps": 10}, "learned"),
    "time_embedding_dim": (SMALL, 64),
    "up_block_types": (NCSNPP, ("SkipUpBlock2D", "SkipUpBlock2D")),
    "block_out_channels": (NCSNPP, (64, 96)),
    "class_embed_type": (SMALL, "timestep"),
    "mid_block_scale_factor": (SMALL, 2),
    "act_fn": (SMALL, "gelu"),
    "center_input_sample": (SMALL, True),
    "out_channels": (SMALL, 1),
    "attn_norm_num_groups": (SMALL, 16),
    "downsample_type": (SMALL | {"down_block_types": ("AttnDownBlock2D", "DownBlock2D")}, "resnet"),
    "down_block_types": (SMALL | {"up_block_types": ("KUpBlock2D",) * 2}, ["KDownBlock2D"] * 2),
    "attention_head_dim": (NCSNPP, 8),
    "norm_eps": (NCSNPP, 1e-5),
    "resnet_time_scale_shift": (NCSNPP, "scale_shift"),
    "num_class_embeds": (NCSNPP, 3),
}


def saved(path, options):
    """The network of diffusers with every parameter random, saved at `path`."""
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(**options).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network.save_pretrained(path)
    return network


def base_config(process, network, size, channels):
    config = get_config(process, network)
    with config.ignore_type():
        config.data.update(image_size=size, num_channels=channels)
    return config


def config_for(path, size, channels, wanted="ddpm"):
    """The config that the advice leads to from one with the network `wanted`."""
    settings = json.loads((path / "config.json").read_text())
    fields = interop.diffusers.read(path, base_config("vp", wanted, size, channels), "ema").fields
    config = base_config(fields.get("sde.name", "vp"), fields["model.name"], size, channels)
    if config.model.name != "unet":
        widths = settings["block_out_channels"]
        config.model.update(nf=widths[0], ch_mult=tuple(w // widths[0] for w in widths), num_res_blocks=1)
        config.model.attn_resolutions = fields["model.attn_resolutions"]
    if config.model.name == "ddpm":
        config.model.attn_every_block = True
    if config.model.name == "ncsnpp":
        config.model.update(embedding_type="fourier", progressive="output_skip", progressive_input="input_skip")
    with config.ignore_type():
        config.update_from_flattened_dict(dict(fields))
    return config


@pytest.mark.parametrize("case", SAME)
def test_the_same_numbers(case, tmp_path):
    options = SAME[case]
    theirs = saved(tmp_path, options)
    size, channels = options["sample_size"], options.get("in_channels", 3)
    config = config_for(tmp_path, size, channels, "unet" if "unet" in case else "ddpm")
    params = interop.load(tmp_path, config)
    height, width = size if isinstance(size, tuple) else (size, size)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, height, width, channels)).astype(np.float32)
    t = np.array([0.3, 40.0] if config.sde.name == "ve" else [3.0, 700.0], np.float32)
    more = {"class_labels": torch.tensor([4, 1])} if "num_class_embeds" in options else {}
    with torch.no_grad():
        want = theirs(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(t), **more).sample
    condition = {"label": np.array([4, 1])} if more else {}
    got = jax.jit(create_model(config).apply)({"params": params}, x, t, **condition)
    # float32 on both sides; sums of some hundred products in another order, through about ten layers
    want = want.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5 * np.abs(want).max())


@pytest.mark.parametrize("key", REFUSED)
def test_what_no_network_of_ours_computes_is_refused_by_name(key, tmp_path):
    """By the name of the option, or of another one that only this one admits."""
    options, value = REFUSED[key]
    saved(tmp_path, options | {key: value})
    with pytest.raises(Refused, match=f"{key}=.* is not supported, only"):
        config_for(tmp_path, 16, 3)
