"""Names of the U-Nets of improved-diffusion, guided-diffusion and DDDM, and of guided-diffusion's classifiers -> ours.

There layers sit in numbered lists, in the order of calls; here they are numbered per class in that order:

    input_blocks.<i>.<j>.  middle_block.<j>.  output_blocks.<i>.<j>.      a layer, its class read off what it holds:
        in_layers.0 .2  emb_layers.1  out_layers.0 .3  skip_connection    ResBlock
        norm  qkv  proj_out                                               AttentionBlock
        norm  proj_in  proj_cond  transformer_blocks.0.  proj_out         SpatialTransformer
        op, conv, or nothing                                              Conv (down, up, or the first one)
    time_embed.0 .2  label_emb  out.0 .2                                  Dense, Dense, class_embedding, GroupNorm, Conv
    out.0  out.2.positional_embedding .qkv_proj .c_proj                   GroupNorm, AttentionPool, Dense (attention)
    out.0  out.3                                                          GroupNorm, Dense (mean: adaptive there)

Arrays are turned from (out, in, spatial...) to (spatial..., in, out); convolutions of one pixel that are dense
layers here lose the axes of it.
"""

import re
from collections import Counter

import numpy as np

LAYER = re.compile(r"(input_blocks\.\d+\.\d+|middle_block\.\d+|output_blocks\.\d+\.\d+)\.(.+)")
FIRST = "input_blocks.0.0"
RESAMPLING = ("op.", "conv.")
CLASSES = {"in_layers.0.weight": "ResBlock", "qkv.weight": "AttentionBlock", "proj_in.weight": "SpatialTransformer"}
OUTSIDE = {
    "time_embed.0": "Dense_0",
    "time_embed.2": "Dense_1",
    FIRST: "Conv_0",
    "out.0": "GroupNorm_0",
    "out.2.qkv_proj": "AttentionPool_0/Dense_0",
    "out.2.c_proj": "Dense_2",
    "out.3": "Dense_2",
}
PLACES = "out.2.positional_embedding"
INSIDE = {
    "ResBlock": {
        "in_layers.0": "GroupNorm_0",
        "in_layers.2": "Conv_0",
        "emb_layers.1": "Dense_0",
        "out_layers.0": "GroupNorm_1",
        "out_layers.3": "Conv_1",
        "skip_connection": "Conv_2",
    },
    "AttentionBlock": {"norm": "GroupNorm_0", "qkv": "Dense_0", "proj_out": "Dense_1"},
    "SpatialTransformer": {
        "norm": "GroupNorm_0",
        "proj_in": "Conv_0",
        "proj_cond": "Conv_1",
        "transformer_blocks.0.norm1": "LayerNorm_0",
        "transformer_blocks.0.norm2": "LayerNorm_1",
        "transformer_blocks.0.norm3": "LayerNorm_2",
        "transformer_blocks.0.ff.net.0.proj": "Dense_0",
        "transformer_blocks.0.ff.net.2": "Dense_1",
        "proj_out": "Conv_2",
    }
    | {
        f"transformer_blocks.0.attn{i + 1}.{theirs}": f"CrossAttention_{i}/Dense_{j}"
        for i in range(2)
        for j, theirs in enumerate(("to_q", "to_k", "to_v", "to_out.0"))
    },
}


def rename(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """state: arrays by their names, in the order of the file. Names it cannot place are kept."""
    layers = _layers(state)
    leaves = {}
    for name, array in state.items():
        path, _, leaf = name.rpartition(".")
        inside = LAYER.fullmatch(name)
        if path == "label_emb":
            leaves["class_embedding"] = array
        elif name == PLACES:
            leaves["AttentionPool_0/place"] = array.T
        elif path == "out.2":
            leaves |= [_leaf(f"Conv_{layers['out.2']}", leaf, array)]
        elif path in OUTSIDE:
            leaves |= [_leaf(OUTSIDE[path], leaf, array)]
        elif inside and inside[1] in layers:
            leaves |= [_leaf(_inside(layers[inside[1]], inside[2].rpartition(".")[0]), leaf, array)]
        else:
            leaves[name] = array
    return leaves


def _layers(state):
    """Our name of every layer, by their prefix; for out.2 the number of convolutions outside blocks before it."""
    layers, counts = {}, Counter(Conv=1)
    for name in state:
        found = LAYER.fullmatch(name)
        if not found or found[1] in layers or found[1] == FIRST:
            continue
        kind = "Conv" if found[2].startswith(RESAMPLING) else None
        kind = kind or next((k for key, k in CLASSES.items() if f"{found[1]}.{key}" in state), None)
        if kind:
            layers[found[1]] = f"{kind}_{counts[kind]}"
            counts[kind] += 1
    return layers | {"out.2": counts["Conv"]}


def _inside(layer, path):
    """Our path of a part of a layer; the layer's own where it has no parts."""
    parts = INSIDE.get(layer.rpartition("_")[0])
    return layer if parts is None else f"{layer}/{parts.get(path, path)}"


def _leaf(path, leaf, array):
    """(our name, array in our layout)."""
    if leaf == "weight" and array.ndim == 1:
        leaf = "scale"
    elif leaf == "weight":
        leaf = "kernel"
        dense = path.rpartition("/")[2].startswith("Dense")
        array = array.reshape(array.shape[:2]) if dense else array
        array = array.transpose(*range(2, array.ndim), 1, 0)
    return f"{path}/{leaf}", array
