"""Folders of UNet2DModel: every layer's name, and the settings that our networks cannot follow."""

import ast
import json
import re

import numpy as np
import pytest
from flax import traverse_util

import interop
from configs.default import get_config
from files.refused import Refused
from interop import safetensors
from models import create_model

DDPM = {
    "Dense_0": "time_embedding.linear_1",
    "Dense_1": "time_embedding.linear_2",
    "Conv_0": "conv_in",
    "ResnetBlockDDPM_0": "down_blocks.0.resnets.0",
    "Downsample_0": "down_blocks.0.downsamplers.0",
    "ResnetBlockDDPM_1": "down_blocks.1.resnets.0",
    "ResnetBlockDDPM_2": "mid_block.resnets.0",
    "AttnBlock_0": "mid_block.attentions.0",
    "ResnetBlockDDPM_3": "mid_block.resnets.1",
    "ResnetBlockDDPM_4": "up_blocks.0.resnets.0",
    "ResnetBlockDDPM_5": "up_blocks.0.resnets.1",
    "Upsample_0": "up_blocks.0.upsamplers.0",
    "ResnetBlockDDPM_6": "up_blocks.1.resnets.0",
    "ResnetBlockDDPM_7": "up_blocks.1.resnets.1",
    "GroupNorm_0": "conv_norm_out",
    "Conv_1": "conv_out",
}
NCSNPP = {
    "GaussianFourierProjection_0": "time_proj",
    "Dense_0": "time_embedding.linear_1",
    "Dense_1": "time_embedding.linear_2",
    "Conv_0": "conv_in",
    "ResnetBlockBigGANpp_0": "down_blocks.0.resnets.0",
    "ResnetBlockBigGANpp_1": "down_blocks.0.resnet_down",
    "Combine_0": "down_blocks.0.skip_conv",
    "ResnetBlockBigGANpp_2": "down_blocks.1.resnets.0",
    "AttnBlockpp_0": "down_blocks.1.attentions.0",
    "ResnetBlockBigGANpp_3": "mid_block.resnets.0",
    "AttnBlockpp_1": "mid_block.attentions.0",
    "ResnetBlockBigGANpp_4": "mid_block.resnets.1",
    "ResnetBlockBigGANpp_5": "up_blocks.0.resnets.0",
    "ResnetBlockBigGANpp_6": "up_blocks.0.resnets.1",
    "AttnBlockpp_2": "up_blocks.0.attentions.0",
    "GroupNorm_0": "up_blocks.0.skip_norm",
    "Conv_1": "up_blocks.0.skip_conv",
    "ResnetBlockBigGANpp_7": "up_blocks.0.resnet_up",
    "ResnetBlockBigGANpp_8": "up_blocks.1.resnets.0",
    "ResnetBlockBigGANpp_9": "up_blocks.1.resnets.1",
    "GroupNorm_1": "conv_norm_out",
    "Conv_2": "conv_out",
}
IN_BLOCK = {
    "GroupNorm_0": "norm1",
    "Conv_0": "conv1",
    "Dense_0": "time_emb_proj",
    "GroupNorm_1": "norm2",
    "Conv_1": "conv2",
    "Conv_2": "conv_shortcut",
    "NIN_0": "conv_shortcut",
}
IN_ATTENTION = {"GroupNorm_0": "group_norm", "NIN_0": "to_q", "NIN_1": "to_k", "NIN_2": "to_v", "NIN_3": "to_out.0"}
IN_RESAMPLING = {"Conv_0": "conv"}
IN_COMBINE = {"Conv_0": ""}

SETTINGS = {
    "_class_name": "UNet2DModel",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [32, 32],
    "layers_per_block": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "resnet_time_scale_shift": "default",
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
}
DDPM_SETTINGS = SETTINGS | {
    "time_embedding_type": "positional",
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "downsample_padding": 0,
    "mid_block_scale_factor": 1,
}
ATTENTION = {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
NCSNPP_SETTINGS = SETTINGS | {
    "time_embedding_type": "fourier",
    "mid_block_scale_factor": 1.41421356237,
    "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
    "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"],
}


def theirs(name, array, layers):
    """(diffusers' name, array in torch's layout)."""
    layer, *parts, leaf = name.split("/")
    inside = IN_BLOCK if "Resnet" in layer else IN_ATTENTION if "Attn" in layer else IN_RESAMPLING
    inside = IN_COMBINE if layer.startswith("Combine") else inside
    if leaf == "W" and parts:
        array = array.T if "Attn" in layer else array.T[:, :, None, None]
    elif leaf == "kernel":
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    leaf = "bias" if leaf in ("b", "bias") else "weight"
    return ".".join(filter(None, [layers[layer], *(inside[part] for part in parts), leaf])), array


def folder_of(path, leaves, layers, settings):
    arrays = dict(theirs(name, array, layers) for name, array in leaves.items())
    path.mkdir()
    safetensors.write(path / "diffusion_pytorch_model.safetensors", arrays, {})
    (path / "config.json").write_text(json.dumps(settings))
    return path


def config_of(network, changes, process):
    config = get_config(process, network)
    config.model.update({"nf": 32, "ch_mult": (1, 1), "num_res_blocks": 1} | changes)
    config.data.update(image_size=8, centered=True)
    return config


@pytest.fixture
def ddpm():
    return config_of("ddpm", {"attn_resolutions": ()}, "vp")


@pytest.fixture
def ncsnpp():
    skips = {"fir": True, "progressive": "output_skip", "progressive_input": "input_skip"}
    score = {"embedding_type": "fourier", "scale_by_sigma": True, "prediction": "score"}
    groups = {"attn_num_groups": 32, "norm_num_groups": 32}
    return config_of("ncsnpp", {"attn_resolutions": (4,)} | skips | score | groups, "ve")


def check(path, config, leaves):
    tree = traverse_util.flatten_dict(interop.load(path, config), sep="/")
    assert tree.keys() == leaves.keys()
    for name in leaves:
        np.testing.assert_array_equal(tree[name], leaves[name], err_msg=name)


def test_ddpm(ddpm, params_of, tmp_path):
    leaves = params_of(ddpm)
    check(folder_of(tmp_path / "a", leaves, DDPM, DDPM_SETTINGS), ddpm, leaves)


def test_ddpm_with_attention_after_every_block(ddpm, params_of, tmp_path):
    ddpm.model.update(attn_resolutions=(4,), attn_every_block=True)
    leaves = params_of(ddpm)
    layers = {
        "AttnBlock_0": "down_blocks.1.attentions.0",
        "AttnBlock_1": "mid_block.attentions.0",
        "AttnBlock_2": "up_blocks.0.attentions.0",
        "AttnBlock_3": "up_blocks.0.attentions.1",
    }
    path = folder_of(tmp_path / "a", leaves, DDPM | layers, DDPM_SETTINGS | ATTENTION)
    check(path, ddpm, leaves)
    ddpm.model.attn_every_block = False
    with pytest.raises(ValueError, match="set --config.model.attn_every_block=True"):
        interop.load(path, ddpm)


def test_ncsnpp(ncsnpp, params_of, tmp_path):
    leaves = params_of(ncsnpp)
    check(folder_of(tmp_path / "a", leaves, NCSNPP, NCSNPP_SETTINGS), ncsnpp, leaves)


def test_what_the_shapes_do_not_show_must_agree(ncsnpp, params_of, tmp_path):
    path = folder_of(tmp_path / "a", params_of(ncsnpp), NCSNPP, NCSNPP_SETTINGS)
    ncsnpp.model.scale_by_sigma = False
    with pytest.raises(ValueError, match="set --config.model.scale_by_sigma=True"):
        interop.load(path, ncsnpp)


def test_norm_groups_of_diffusers_below_128_channels(ncsnpp, params_of, tmp_path):
    path = folder_of(tmp_path / "a", params_of(ncsnpp), NCSNPP, NCSNPP_SETTINGS)
    ncsnpp.model.update(attn_num_groups=0, norm_num_groups=0)
    flags = "--config.model.norm_num_groups=32 --config.model.attn_num_groups=32"
    with pytest.raises(ValueError, match=f"set {flags}"):
        interop.load(path, ncsnpp)


@pytest.mark.parametrize(
    ("key", "value"),
    [("mid_block_scale_factor", 2), ("act_fn", "gelu"), ("class_embed_type", "timestep"), ("attention_head_dim", 5)],
)
def test_settings_that_no_network_has(ddpm, params_of, tmp_path, key, value):
    path = folder_of(tmp_path / "a", params_of(ddpm), DDPM, DDPM_SETTINGS | {key: value})
    with pytest.raises(Refused, match=f"{key}={value!r} is not supported"):
        interop.load(path, ddpm)


def test_the_size_of_the_images_must_agree(ddpm, params_of, tmp_path):
    path = folder_of(tmp_path / "a", params_of(ddpm), DDPM, DDPM_SETTINGS)
    ddpm.data.image_size = 16
    with pytest.raises(ValueError, match="set --config.data.image_size=8"):
        interop.load(path, ddpm)


def test_one_folder_as_two_networks(ddpm, params_of, tmp_path):
    """A DDPM read as our U-Net, with the four settings of its own, computes what our DDPM computes."""
    ddpm.model.update(attn_resolutions=(4,), attn_every_block=True)
    leaves = params_of(ddpm)
    layers = {
        "AttnBlock_0": "down_blocks.1.attentions.0",
        "AttnBlock_1": "mid_block.attentions.0",
        "AttnBlock_2": "up_blocks.0.attentions.0",
        "AttnBlock_3": "up_blocks.0.attentions.1",
    }
    path = folder_of(tmp_path / "a", leaves, DDPM | layers, DDPM_SETTINGS | ATTENTION)
    unet = get_config("vp", "unet")
    unet.data.image_size = 8
    unet.model.channel_mult = (1, 1)
    with pytest.raises(ValueError, match="set --config.model.") as refusal:
        interop.load(path, unet)
    flags = re.findall(r"--config\.([\w.]+)=('[^']*'|\S+)", str(refusal.value))
    unet.update_from_flattened_dict({key: ast.literal_eval(value.strip("'")) for key, value in flags})
    params = interop.load(path, unet)
    x, t = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32), np.array([2.0, 700.0])
    got = create_model(unet).apply({"params": params}, x, t)
    want = create_model(ddpm).apply({"params": traverse_util.unflatten_dict(leaves, sep="/")}, x, t)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())  # float32, some ten layers
