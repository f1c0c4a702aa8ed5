"""Networks of diffusers' UNet2DModel -> ours.

`diffusers_folder` finds the files, `diffusers_settings` the network of ours that computes the same. Layers, in the
order of calls, and what they are called here:

    time_proj  time_embedding.linear_1 linear_2  class_embedding  conv_in       Fourier, Dense, Dense, table, Conv
    down_blocks.i.  resnets.j  attentions.j   | downsamplers.0                  block, attention | Downsample
                                              | resnet_down  skip_conv          | block, Combine
    mid_block.      resnets.0  attentions.0  resnets.1
    up_blocks.i.    resnets.j  attentions.j   | upsamplers.0                    block, attention | Upsample
                                              | skip_norm  skip_conv  resnet_up | GroupNorm, Conv, block
    conv_norm_out  conv_out                                                     GroupNorm, Conv

Blocks that our U-Net has and the folder does not (attention on one way only, or none in the middle) become the
identity: x + 0, by zeros in the layer that ends their branch.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from linnet.files.refused import Refused
from linnet.interop import diffusers_folder
from linnet.interop.diffusers_settings import Settings
from linnet.interop.published import Loaded

CLASSES = {
    "ddpm": {"block": "ResnetBlockDDPM", "attention": "AttnBlock", "down": "Downsample", "up": "Upsample"},
    "ncsnpp": {"block": "ResnetBlockBigGANpp", "attention": "AttnBlockpp", "down": "Downsample", "up": "Upsample"},
    "unet": {"block": "ResBlock", "attention": "AttentionBlock", "down": "Conv", "up": "Conv"},
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
}


def recognises(path: Path) -> bool:
    """Whether the path is a folder of a UNet2DModel, or the weights in one."""
    return diffusers_folder.find(path) is not None


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The parameters: of checkpoint-<step> those that are asked for, else the one set there is."""
    folder = diffusers_folder.find(path, params)
    if folder is None:
        raise Refused(f"{path}: no folder of a UNet2DModel")
    settings = Settings(folder.path / "config.json", folder.settings, config.model.name)
    state, kind = diffusers_folder.read(folder, params)
    counts: Counter[str] = Counter()
    leaves: dict[str, np.ndarray] = {}
    for prefix, layer, width in _layers(settings):
        held = {name.removeprefix(prefix).lstrip("."): state.pop(name) for name in _of(prefix, state)}
        if held or width:
            ours = f"{layer}_{counts[layer]}"
            counts[layer] += 1
            leaves |= _leaves(ours, held, settings, config) if held else _identity(ours, width, settings)
    if "class_embedding.weight" in state:
        leaves["class_embedding"] = state.pop("class_embedding.weight")
    if settings.name == "unet" and not settings.given["flip_sin_to_cos"] and "Dense_0/kernel" in leaves:
        leaves["Dense_0/kernel"] = _flipped(leaves["Dense_0/kernel"])
    fields = settings.fields(config) | diffusers_folder.scheduler(folder, config)
    return Loaded(leaves | state, fields, kind=kind)


def _of(prefix, state):
    """Names of the arrays of one layer."""
    return [name for name in state if name.startswith(f"{prefix}.")]


def _layers(settings):
    """(prefix, class of ours, channels of a block that must be there or 0) of every layer, in the order of calls."""
    classes = CLASSES[settings.name]
    block = classes["block"]
    attention = classes["attention"]
    depth = settings.given["layers_per_block"]
    down, up = (block, block) if settings.resampled_by_blocks else (classes["down"], classes["up"])
    yield from (("time_proj", "GaussianFourierProjection", 0), ("time_embedding.linear_1", "Dense", 0))
    yield from (("time_embedding.linear_2", "Dense", 0), ("conv_in", "Conv", 0))
    for level in range(settings.levels):
        yield from _column(settings, f"down_blocks.{level}", level, depth)
        yield f"down_blocks.{level}.downsamplers.0", down, 0
        yield f"down_blocks.{level}.resnet_down", block, 0
        yield f"down_blocks.{level}.skip_conv", "Combine", 0
    width = settings.widths[-1] if settings.name == "unet" else 0
    yield "mid_block.resnets.0", block, width
    yield "mid_block.attentions.0", attention, width
    yield "mid_block.resnets.1", block, width
    for i in range(settings.levels):
        yield from _column(settings, f"up_blocks.{i}", settings.levels - 1 - i, depth + 1)
        yield f"up_blocks.{i}.skip_norm", "GroupNorm", 0
        yield f"up_blocks.{i}.skip_conv", "Conv", 0
        yield f"up_blocks.{i}.resnet_up", block, 0
        yield f"up_blocks.{i}.upsamplers.0", up, 0
    yield from (("conv_norm_out", "GroupNorm", 0), ("conv_out", "Conv", 0))


def _column(settings, prefix, level, depth):
    classes = CLASSES[settings.name]
    width = settings.widths[level] if settings.name == "unet" and level in settings.attended else 0
    for j in range(depth):
        yield f"{prefix}.resnets.{j}", classes["block"], 0
        yield f"{prefix}.attentions.{j}", classes["attention"], width


def _leaves(layer, held, settings, config):
    """{our name: array in our layout} of the arrays of one layer, by their names inside it."""
    leaves = dict(_leaf(layer, inside, array) for inside, array in held.items())
    if layer.startswith("AttentionBlock"):
        return _joined(layer, leaves, settings, config.model.get("use_new_attention_order", False))
    return leaves


def _leaf(layer, inside, array):
    """(our name, array in our layout); `inside` is "weight", "bias", or those under a part of the layer."""
    part, _, leaf = inside.rpartition(".")
    if layer.startswith("Gaussian"):
        return f"{layer}/W", array
    if part == "conv_shortcut":
        part = "NIN_0" if layer.startswith("ResnetBlockDDPM_") else "Conv_2"
    elif layer.startswith("Combine"):
        part = "Conv_0"
    elif part == "conv":  # of a layer that resamples
        part = "" if layer.startswith("Conv_") else "Conv_0"
    else:
        part = INSIDE.get(part, part)
    if part.startswith("NIN"):
        array = array.reshape(array.shape[:2]).T if leaf == "weight" else array
        leaf = {"weight": "W", "bias": "b"}.get(leaf, leaf)
    elif leaf == "weight":
        leaf = "scale" if array.ndim == 1 else "kernel"
        array = {2: lambda a: a.T, 4: lambda a: a.transpose(2, 3, 1, 0)}.get(array.ndim, np.asarray)(array)
    return "/".join(filter(None, [layer, part, leaf])), array


def _joined(layer, leaves, settings, new_order):
    """Attention with q, k and v in one dense layer, whose columns are (head, qkv, channel), or (qkv, head, channel)."""
    joined = {}
    for theirs, ours in (("W", "kernel"), ("b", "bias")):
        parts = [f"{layer}/NIN_{i}/{theirs}" for i in range(3)]
        if all(part in leaves for part in parts) and f"{layer}/NIN_3/{theirs}" in leaves:
            arrays = [leaves.pop(part) for part in parts]
            heads = settings.heads_of(arrays[0].shape[-1])
            split = [array.reshape(*array.shape[:-1], heads, -1) for array in arrays]
            together = np.stack(split, axis=-3 if new_order else -2)
            joined[f"{layer}/Dense_0/{ours}"] = together.reshape(*arrays[0].shape[:-1], -1)
            joined[f"{layer}/Dense_1/{ours}"] = leaves.pop(f"{layer}/NIN_3/{theirs}")
    return leaves | joined


def _identity(layer, width, settings):
    """A block of `width` channels that returns its input."""
    if layer.startswith("AttentionBlock"):
        kernels = {"Dense_0": (width, 3 * width), "Dense_1": (width, width)}
        norms = ("GroupNorm_0",)
    else:
        embedded = width * (1 + (settings.given["resnet_time_scale_shift"] == "scale_shift"))
        convolution = (3, 3, width, width)
        kernels = {"Conv_0": convolution, "Dense_0": (4 * settings.widths[0], embedded), "Conv_1": convolution}
        norms = ("GroupNorm_0", "GroupNorm_1")
    leaves = {f"{layer}/{norm}/scale": np.ones(width, np.float32) for norm in norms}
    leaves |= {f"{layer}/{norm}/bias": np.zeros(width, np.float32) for norm in norms}
    leaves |= {f"{layer}/{name}/kernel": np.zeros(shape, np.float32) for name, shape in kernels.items()}
    return leaves | {f"{layer}/{name}/bias": np.zeros(shape[-1], np.float32) for name, shape in kernels.items()}


def _flipped(kernel):
    """The dense kernel for an embedding [cos, sin] in place of [sin, cos]."""
    half = len(kernel) // 2
    return np.concatenate([kernel[half : 2 * half], kernel[:half], kernel[2 * half :]])
