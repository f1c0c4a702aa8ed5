"""Folders of diffusers' UNet2DModel: config.json and diffusion_pytorch_model.safetensors.

Read are the two layouts of the models published as google/ddpm-* (our DDPM) and google/ncsnpp-* (our NCSNpp with FIR
resampling, input and output skips). Layers, in the order of calls, and what they are called here:

    time_proj  time_embedding.linear_1 linear_2  conv_in                        Fourier, Dense, Dense, Conv
    down_blocks.i.  resnets.j  attentions.j   | downsamplers.0                  block, attention | Downsample
                                              | resnet_down  skip_conv          | block, Combine
    mid_block.      resnets.0  attentions.0  resnets.1
    up_blocks.i.    resnets.j  attentions.j   | upsamplers.0                    block, attention | Upsample
                                              | skip_norm  skip_conv  resnet_up | GroupNorm, Conv, block
    conv_norm_out  conv_out                                                     GroupNorm, Conv

Settings that our networks do not have are refused by name.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from linnet.files import torch_files
from linnet.files.refused import Refused
from linnet.interop import safetensors
from linnet.interop.published import Published

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
MAX_LAYERS = 1000  # of one level
COMMON = {
    "act_fn": ("silu", "swish"),
    "attention_head_dim": (None,),
    "norm_eps": (1e-6,),
    "resnet_time_scale_shift": (None, "default"),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "time_embedding_dim": (None,),
    "mid_block_type": (None, "UNetMidBlock2D"),
}
NEEDS = {
    "ddpm": {
        "flip_sin_to_cos": (False,),
        "freq_shift": (1,),
        "downsample_padding": (0,),
        "mid_block_scale_factor": (1,),
        "norm_num_groups": (32,),
    },
    "ncsnpp": {"mid_block_scale_factor": (2**0.5,), "in_channels": (3,), "out_channels": (3,)},
}
FIELDS = {
    "ddpm": {"model.name": "ddpm", "model.prediction": "eps"},
    "ncsnpp": {
        "sde.name": "ve",
        "model.name": "ncsnpp",
        "model.fir": True,
        "model.skip_rescale": True,
        "model.scale_by_sigma": True,
        "model.prediction": "score",
    },
}
INSIDE = {
    "norm1": "GroupNorm_0",
    "conv1": "Conv_0",
    "time_emb_proj": "Dense_0",
    "norm2": "GroupNorm_1",
    "conv2": "Conv_1",
    "group_norm": "GroupNorm_0",
    "to_q": "NIN_0",
    "query": "NIN_0",
    "to_k": "NIN_1",
    "key": "NIN_1",
    "to_v": "NIN_2",
    "value": "NIN_2",
    "to_out.0": "NIN_3",
    "proj_attn": "NIN_3",
    "conv": "Conv_0",
}


def recognises(path: Path) -> bool:
    """Whether the folder holds a UNet2DModel."""
    return _folder(path) is not None


def _folder(path):
    """The folder itself, or its sub-folder unet (a pipeline); None if neither is a UNet2DModel."""
    for folder in (path, path / "unet"):
        try:
            if json.loads((folder / "config.json").read_text()).get("_class_name") == "UNet2DModel":
                return folder
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
    return None


def read(path: Path, config, params: str) -> Published:
    """The parameters; such a folder holds one set, and nothing in it says whether they are averages."""
    folder = _folder(path)
    settings = json.loads((folder / "config.json").read_text())
    kind = "ncsnpp" if settings.get("time_embedding_type") == "fourier" else "ddpm"
    _check_settings(folder, settings, kind)
    state = _state(folder)
    block = {"ddpm": "ResnetBlockDDPM", "ncsnpp": "ResnetBlockBigGANpp"}[kind]
    counts, leaves = Counter(), {}
    for prefix, layer in _layers(settings, block, {"ddpm": "AttnBlock", "ncsnpp": "AttnBlockpp"}[kind]):
        held = [name for name in state if name.startswith(f"{prefix}.")]
        if held:
            ours = f"{layer}_{counts[layer]}"
            counts[layer] += 1
            leaves |= dict(_leaf(ours, name.removeprefix(f"{prefix}."), state.pop(name)) for name in held)
    fields = {"data.centered": not settings.get("center_input_sample", False)}
    size = settings.get("sample_size")
    fields |= {"data.image_size": size} if type(size) is int else {}
    return Published(leaves | state, FIELDS[kind] | fields | _noise_levels(path))


def _noise_levels(path):
    """sde.sigma_min and sigma_max from the scheduler of the pipeline, where there is one for VE."""
    for folder in (path, path / "scheduler"):
        try:
            settings = json.loads((folder / "scheduler_config.json").read_text())
            ve = settings.get("_class_name") == "ScoreSdeVeScheduler"
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
        found = {key: settings[key] for key in ("sigma_min", "sigma_max") if ve and key in settings}
        for key, value in found.items():
            if type(value) not in (int, float):
                raise Refused(f"{folder}/scheduler_config.json: {key}={value!r} is no number")
        return {f"sde.{key}": float(value) for key, value in found.items()}
    return {}


def _check_settings(folder, settings, kind):
    """Refused where a setting changes the network in a way that ours cannot follow. Absent ones are as published."""
    for key, allowed in (COMMON | NEEDS[kind]).items():
        if key in settings and not any(_equal(settings[key], value) for value in allowed):
            raise Refused(f"{folder}/config.json: {key}={settings[key]!r} is not supported, only {allowed[0]!r}")
    channels, depth = settings.get("block_out_channels"), settings.get("layers_per_block", 2)
    if not isinstance(channels, list) or type(depth) is not int or not 0 < depth < MAX_LAYERS:
        raise Refused(
            f"{folder}/config.json: block_out_channels={channels!r} and layers_per_block={depth!r} describe no levels"
        )


def _equal(a, b):
    return abs(a - b) < 1e-6 if isinstance(a, float) and isinstance(b, float | int) else a == b


def _state(folder):
    """Arrays by name."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            if name.endswith("safetensors"):
                return dict(safetensors.read(folder / name)[0])
            return torch_files.arrays(folder / name, torch_files.read(folder / name))
    raise Refused(f"{folder}: config.json of a UNet2DModel without {WEIGHTS[0]}")


def _layers(settings, block, attention):
    """(prefix, class of ours) of every layer, in the order of calls."""
    levels, depth = len(settings["block_out_channels"]), settings.get("layers_per_block", 2)
    yield from (("time_proj", "GaussianFourierProjection"), ("time_embedding.linear_1", "Dense"))
    yield from (("time_embedding.linear_2", "Dense"), ("conv_in", "Conv"))
    for level in range(levels):
        yield from _column(f"down_blocks.{level}", depth, block, attention)
        yield f"down_blocks.{level}.downsamplers.0", "Downsample"
        yield f"down_blocks.{level}.resnet_down", block
        yield f"down_blocks.{level}.skip_conv", "Combine"
    yield from (("mid_block.resnets.0", block), ("mid_block.attentions.0", attention), ("mid_block.resnets.1", block))
    for level in range(levels):
        yield from _column(f"up_blocks.{level}", depth + 1, block, attention)
        yield f"up_blocks.{level}.skip_norm", "GroupNorm"
        yield f"up_blocks.{level}.skip_conv", "Conv"
        yield f"up_blocks.{level}.resnet_up", block
        yield f"up_blocks.{level}.upsamplers.0", "Upsample"
    yield from (("conv_norm_out", "GroupNorm"), ("conv_out", "Conv"))


def _column(prefix, depth, block, attention):
    for j in range(depth):
        yield f"{prefix}.resnets.{j}", block
        yield f"{prefix}.attentions.{j}", attention


def _leaf(layer, inside, array):
    """(our name, array in our layout); `inside` is "weight", "bias", or those under a part of the layer."""
    part, _, leaf = inside.rpartition(".")
    if layer.startswith("Gaussian"):
        return f"{layer}/W", array
    if part == "conv_shortcut":
        part = "NIN_0" if layer.startswith("ResnetBlockDDPM_") else "Conv_2"
    elif layer.startswith("Combine"):
        part = "Conv_0"
    else:
        part = INSIDE.get(part, part)
    if part.startswith("NIN"):
        array = array.reshape(array.shape[:2]).T if leaf == "weight" else array
        leaf = {"weight": "W", "bias": "b"}.get(leaf, leaf)
    elif leaf == "weight":
        leaf = "scale" if array.ndim == 1 else "kernel"
        array = {2: lambda a: a.T, 4: lambda a: a.transpose(2, 3, 1, 0)}.get(array.ndim, np.asarray)(array)
    return "/".join(filter(None, [layer, part, leaf])), array
