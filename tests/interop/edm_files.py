"""Our parameters as EDM's own code would have saved them: names, layouts, and arrays that only training needs."""

import numpy as np

OUTSIDE = {
    "Dense_0": "map_layer0",
    "Dense_1": "map_layer1",
    "Conv_0": "enc.16x16_conv",
    "Downsample_0": "enc.8x8_aux_residual",
}
BLOCKS = (
    "enc.16x16_block0",
    "enc.8x8_down",
    "enc.8x8_block0",
    "dec.8x8_in0",
    "dec.8x8_in1",
    "dec.8x8_block0",
    "dec.8x8_block1",
    "dec.16x16_up",
    "dec.16x16_block0",
    "dec.16x16_block1",
)
SONG_ATTENTION, ADM_ATTENTION = (2, 3, 6), (2, 3, 5, 6)  # of BLOCKS: once per level on the way back, or in every block
SONG_END = {"GroupNorm_0": "dec.16x16_aux_norm", "Conv_1": "dec.16x16_aux_conv"}
ADM_END = {"GroupNorm_0": "out_norm", "Conv_1": "out_conv"}
IN_BLOCK = {
    "GroupNorm_0": "norm0",
    "Conv_0": "conv0",
    "Dense_0": "affine",
    "GroupNorm_1": "norm1",
    "Conv_1": "conv1",
    "Conv_2": "skip",
}


def torch_layout(array):
    return {2: np.transpose, 4: lambda a: a.transpose(3, 2, 0, 1)}.get(array.ndim, np.asarray)(array)


def exported(leaves, config):
    """Our parameters under EDM's names, in torch's layout, with arrays that only training needs."""
    adm = config.model.name == "unet"
    attention = [BLOCKS[i] for i in (ADM_ATTENTION if adm else SONG_ATTENTION)]
    layers = OUTSIDE | (ADM_END if adm else SONG_END)
    state = {"map_augment.weight": np.zeros((16, 9), np.float32)}
    taps = 4 if config.model.get("fir") else 2
    state["enc.8x8_down.conv0.resample_filter"] = np.ones((1, 1, taps, taps), np.float32)
    for name, array in leaves.items():
        layer, *parts = name.split("/")
        leaf = parts.pop() if parts else ""
        leaf = "bias" if leaf in ("bias", "b") else "weight"
        kind, _, number = layer.rpartition("_")
        array = torch_layout(-array if layer == "Conv_1" else array)
        if layer == "GaussianFourierProjection_0":
            state["map_noise.freqs"] = 4 * array
        elif kind == "class":
            state |= {"map_label.weight": array if adm else array / np.sqrt(np.float32(10))}
        elif kind == "AttnBlockpp":
            add_one_head(state, attention[int(number)], parts[0], leaf, array)
        elif kind == "AttentionBlock":
            add_heads(state, attention[int(number)], parts[0], leaf, array)
        elif kind in ("ResBlock", "ResnetBlockBigGANpp"):
            state[f"{BLOCKS[int(number)]}.{IN_BLOCK[parts[0]]}.{leaf}"] = array
        else:
            state[f"{layers[layer]}.{leaf}"] = array
    if "map_label.weight" in state and not adm:
        bias = np.linspace(-1, 1, state["map_label.weight"].shape[0], dtype=np.float32)
        state["map_label.bias"] = bias
        state["map_layer0.bias"] = state["map_layer0.bias"] - state["map_layer0.weight"] @ bias
    return {f"model.{name}": array for name, array in state.items()}


def add_one_head(state, block, part, leaf, array):
    if part == "GroupNorm_0":
        state[f"{block}.norm2.{leaf}"] = array
        return
    array = array[..., None, None] if leaf == "weight" else array
    if part == "NIN_3":
        state[f"{block}.proj.{leaf}"] = array
        return
    qkv = state.setdefault(f"{block}.qkv.{leaf}", np.empty((3 * len(array), *array.shape[1:]), np.float32))
    qkv[int(part[-1]) :: 3] = array


def add_heads(state, block, part, leaf, array):
    if part == "Dense_0":
        array = np.stack([array[192 * head + 64 * j + c] for head in range(2) for c in range(64) for j in range(3)])
    theirs = {"GroupNorm_0": "norm2", "Dense_0": "qkv", "Dense_1": "proj"}[part]
    state[f"{block}.{theirs}.{leaf}"] = array[..., None, None] if array.ndim == 2 else array
