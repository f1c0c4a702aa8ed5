"""Names of the networks of score_sde_pytorch and CLD-SGM -> ours.

There every layer of a network sits in one list, `all_modules.<i>`, in the order of construction, which is the order of
calls; here layers are numbered per class in that order. So a layer's class, read off what it holds, gives its name:

    W (features,)                 GaussianFourierProjection     GroupNorm_0 and NIN_0.W       attention block
    weight (out, in)              Dense                         Conv_1                        residual block
    weight (out, in, 3, 3)        Conv                          Conv_0 (out, in, 1, 1)        Combine
    weight (C,)                   GroupNorm                     Conv_0 or Conv2d_0, 3x3       Downsample, later Upsample

Inside a layer the names agree. Arrays are turned from (out, in, h, w) to (h, w, in, out) and from (out, in) to (in,
out), except those of NIN, which are (in, out) on both sides.
"""

from collections import Counter

import numpy as np

PREFIX = "all_modules."


def network_of(state: dict[str, np.ndarray]) -> str:
    """The network whose layers these are: "ddpm" where they may be those of DDPM, otherwise "ncsnpp".

    DDPM has two dense layers and a convolution first, or only the latter, and lacks Fourier features, FIR filters,
    shortcuts by convolution, and image heads besides the last one.
    """
    layers, _ = _layers(state)
    first = [np.ndim(layers[i].get("weight")) for i in sorted(layers)[:3]]
    norms = [layer for layer in layers.values() if "weight" in layer and np.ndim(layer["weight"]) == 1]
    inside = {name for layer in layers.values() for name in layer}
    others = {"Conv_2.weight", "Conv2d_0.weight"} & inside or "W" in inside or len(norms) > 1
    return "ddpm" if not others and (first == [2, 2, 4] or first[:1] == [4]) else "ncsnpp"


def rename(state: dict[str, np.ndarray], network: str) -> dict[str, np.ndarray]:
    """state: arrays by names "all_modules.<i>.<...>"; network: "ncsnpp" or "ddpm". Names it cannot place are kept."""
    layers, leaves = _layers(state)
    classes = _classes(layers, network)
    counts: Counter[str] = Counter()
    unconditional = "Dense" not in classes.values()  # then the blocks have dense layers all the same, without a use
    for index in sorted(layers):
        kind = classes[index]
        for inside, array in layers[index].items():
            if unconditional and inside.startswith("Dense_0."):
                continue
            name, array = _leaf(f"{kind}_{counts[kind]}", inside, array)
            leaves[name] = array
        counts[kind] += 1
    return leaves


def _layers(state):
    """(arrays by number of the layer and name inside, arrays of other names)."""
    layers, others = {}, {}
    for name, array in state.items():
        index, _, inside = name.removeprefix(PREFIX).partition(".")
        if name.startswith(PREFIX) and index.isdecimal():
            layers.setdefault(int(index), {})[inside] = array
        else:
            others[name] = array
    return layers, others


def _classes(layers, network):
    """Class of every layer, by its index."""
    residual = [i for i in sorted(layers) if "Conv_1.weight" in layers[i]]
    without_shortcut = [i for i in residual if not {"Conv_2.weight", "NIN_0.W"} & set(layers[i])]
    middle = without_shortcut[-1] if without_shortcut else -1
    biggan = any("Conv_2.weight" in layers[i] for i in residual)
    block = "ResnetBlockDDPM" if network == "ddpm" else "ResnetBlockBigGANpp" if biggan else "ResnetBlockDDPMpp"
    attention = "AttnBlock" if network == "ddpm" else "AttnBlockpp"
    return {i: _class(layer, block, attention, i < middle) for i, layer in layers.items()}


def _class(layer, block, attention, before_middle):
    """Class of one layer from what it holds."""
    if "Conv_1.weight" in layer:
        return block
    if "NIN_0.W" in layer:
        return attention
    if "W" in layer:
        return "GaussianFourierProjection"
    if "Conv_0.weight" in layer and layer["Conv_0.weight"].shape[2:] == (1, 1):
        return "Combine"
    if "Conv_0.weight" in layer or "Conv2d_0.weight" in layer:
        return "Downsample" if before_middle else "Upsample"
    return {1: "GroupNorm", 2: "Dense", 4: "Conv"}.get(np.ndim(layer.get("weight")), "Unknown")


def _leaf(layer, inside, array):
    """(our name, array in our layout) of one array of a layer."""
    path = [layer, *inside.split(".")]
    leaf = path.pop()
    if leaf == "weight":
        leaf = {1: "scale", 2: "kernel", 4: "kernel"}.get(array.ndim, leaf)
        if path[-1].startswith("Conv2d"):
            leaf = "weight"
        array = {2: lambda a: a.T, 4: lambda a: a.transpose(2, 3, 1, 0)}.get(array.ndim, lambda a: a)(array)
    return "/".join([*path, leaf]), array
