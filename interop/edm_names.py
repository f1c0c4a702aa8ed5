"""Names of EDM's networks, SongUNet (DDPM++ and NCSN++) and DhariwalUNet (ADM), -> ours.

Layers carry their resolution and role; in the order of calls, with what is in the first only marked *:

    map_layer0  map_layer1  map_label                                             Dense, Dense, class embedding
    enc.<r>x<r>_conv | _down  _aux_residual*  _block<i>...      high to low r     Conv | block, Downsample, blocks
    dec.<r>x<r>_in0  _in1 | _up  _block<i>...                   low to high r     blocks
    dec.<r>x<r>_aux_norm*  _aux_conv* or out_norm  out_conv                       GroupNorm, Conv

    block: norm0 conv0 affine norm1 conv1 skip, and norm2 qkv proj where it ends in attention (a layer of its own here)

The rows of qkv are (head, channel, qkv), one head in the first; here (head, qkv, channel). D = c_skip x + c_out F, and
with config.model.prediction = "edm" ours is D = c_skip x - c_out f: the last convolution changes sign. Where
frequencies are Fourier features they multiply log(sigma) here and log(sigma)/4 there. The first network adds
map_label(sqrt(n) one-hot) before map_layer0: its bias, which is added with any class and with none, goes through
map_layer0 into the bias there. Augmentation labels are zero in sampling, so their layer is left out.
"""

import re
from collections import Counter
from collections.abc import Collection

import numpy as np

FOURIER = "map_noise.freqs"
CLASSES = "map_label.weight"
AUGMENTATION = "map_augment."
CHANNELS_PER_HEAD = 64
ANCHOR = re.compile(r"(?<![^.])(model\.)?(enc|dec)\.\d+x\d+_")
LAYER = re.compile(r"(enc|dec)\.(\d+)x\d+_(conv|in|down|up|aux_residual|block|aux_norm|aux_conv)(\d*)\.(.+)")
ROLES = ("conv", "in", "down", "up", "aux_residual", "block", "aux_norm", "aux_conv")
KINDS = {"conv": "Conv", "aux_residual": "Downsample", "aux_norm": "GroupNorm", "aux_conv": "Conv"}
ATTENTION = ("norm2", "qkv", "proj")
BLOCK = {
    "norm0": "GroupNorm_0",
    "conv0": "Conv_0",
    "affine": "Dense_0",
    "norm1": "GroupNorm_1",
    "conv1": "Conv_1",
    "skip": "Conv_2",
}
OUTSIDE = {"map_layer0": "Dense_0", "map_layer1": "Dense_1", "out_norm": "GroupNorm_0", "out_conv": "Conv_1"}


def is_adm(names: Collection[str]) -> bool:
    """Whether the names are those of DhariwalUNet."""
    return "out_conv.weight" in names


def classes(state: dict[str, np.ndarray]) -> int:
    """Number of classes; 0 for none."""
    return state[CLASSES].shape[-1] if CLASSES in state else 0


def rename(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under our names and in our layout. Names that cannot be placed are kept."""
    adm = is_adm(state)
    leaves: dict[str, np.ndarray] = {}
    layers: dict[tuple[str, ...], str] = {}
    counts: Counter[str] = Counter()
    for name in sorted(state, key=_order):
        found, array = LAYER.fullmatch(name), state[name]
        part, _, leaf = (found[5] if found else name).rpartition(".")
        if leaf == "resample_filter" or name.startswith(AUGMENTATION):
            continue
        if part == "out_conv" or (found and found[3] == "aux_conv"):
            array = -array
        if found:
            kind = _kind(found[3], part, adm)
            layer = layers.setdefault((name.removesuffix(found[5]), kind), f"{kind}_{counts[kind]}")
            counts[kind] += layer == f"{kind}_{counts[kind]}"
            leaves |= _inside(layer, part, leaf, array)
        elif part in OUTSIDE:
            leaves |= _leaf(OUTSIDE[part], leaf, array)
        else:
            leaves[name] = array
    if FOURIER in leaves:
        leaves["GaussianFourierProjection_0/W"] = leaves.pop(FOURIER) / 4
    return _with_classes(leaves, adm)


def _order(name):
    """Key that sorts names in the order of calls."""
    found = LAYER.fullmatch(name)
    if not found:
        return (0, 0, 0, 0)
    resolution = int(found[2])
    side = (1, -resolution) if found[1] == "enc" else (2, resolution)
    return (*side, ROLES.index(found[3]), int(found[4] or 0))


def _kind(role, part, adm):
    """Our class of a layer, or of the attention at its end."""
    if part in ATTENTION:
        return "AttentionBlock" if adm else "AttnBlockpp"
    return KINDS.get(role, "ResBlock" if adm else "ResnetBlockBigGANpp")


def _inside(layer, part, leaf, array):
    """{our name: array} of one array of a layer."""
    if part == "norm2":
        return _leaf(f"{layer}/GroupNorm_0", leaf, array)
    if part in ATTENTION:
        array = array.reshape(array.shape[:2]) if array.shape[2:] == (1, 1) else array
        attention = _heads if layer.startswith("AttentionBlock") else _one_head
        return attention(layer, part, leaf, array)
    if layer.startswith("Downsample"):
        return {f"{layer}/Conv2d_0/{leaf}": _turned(array)}
    return _leaf(f"{layer}/{BLOCK.get(part, part)}" if part else layer, leaf, array)


def _one_head(layer, part, leaf, array):
    ours = {"weight": "W", "bias": "b"}.get(leaf, leaf)
    parts = {"NIN_3": array} if part == "proj" else {f"NIN_{j}": array[j::3] for j in range(3)}
    return {f"{layer}/{name}/{ours}": _turned(each) for name, each in parts.items()}


def _heads(layer, part, leaf, array):
    if part == "proj":
        return _leaf(f"{layer}/Dense_1", leaf, array)
    rows = len(array)
    heads = rows // (3 * CHANNELS_PER_HEAD)
    if heads and rows % (3 * heads) == 0:
        array = array.reshape(heads, -1, 3, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    return _leaf(f"{layer}/Dense_0", leaf, array)


def _with_classes(leaves, adm):
    """`leaves` with the arrays of map_label in their place; untouched where one that they need is missing."""
    bias = "map_label.bias"
    first = "Dense_0/kernel"
    shift = "Dense_0/bias"
    table = leaves.get(CLASSES)
    if adm and table is not None:
        leaves["class_embedding"] = leaves.pop(CLASSES).T
    elif {CLASSES, bias, first, shift} <= leaves.keys() and leaves[bias].shape == leaves[first].shape[:1]:
        leaves["class_embedding"] = np.sqrt(table.shape[-1]) * leaves.pop(CLASSES).T
        leaves[shift] = leaves[shift] + np.float64(leaves.pop(bias)) @ leaves[first]
    return leaves


def _leaf(path, leaf, array):
    if leaf == "weight":
        leaf = "scale" if array.ndim == 1 else "kernel"
    return {f"{path}/{leaf}": _turned(array)}


def _turned(array):
    """From (out, in, spatial...) to (spatial..., in, out)."""
    return array.transpose(*range(2, array.ndim), 1, 0) if array.ndim > 1 else array
