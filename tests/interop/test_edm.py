"""Exports of EDM: every layer's name, the conventions that differ, and what is refused."""

import numpy as np
import pytest
from flax import traverse_util

import interop
from configs.default import get_config
from interop import safetensors
from interop.published import Refused

LAYERS = {
    "Dense_0": "map_layer0",
    "Dense_1": "map_layer1",
    "Conv_0": "enc.16x16_conv",
    "ResnetBlockBigGANpp_0": "enc.16x16_block0",
    "ResnetBlockBigGANpp_1": "enc.8x8_down",
    "Downsample_0": "enc.8x8_aux_residual",
    "ResnetBlockBigGANpp_2": "enc.8x8_block0",
    "AttnBlockpp_0": "enc.8x8_block0",
    "ResnetBlockBigGANpp_3": "dec.8x8_in0",
    "AttnBlockpp_1": "dec.8x8_in0",
    "ResnetBlockBigGANpp_4": "dec.8x8_in1",
    "ResnetBlockBigGANpp_5": "dec.8x8_block0",
    "ResnetBlockBigGANpp_6": "dec.8x8_block1",
    "AttnBlockpp_2": "dec.8x8_block1",
    "ResnetBlockBigGANpp_7": "dec.16x16_up",
    "ResnetBlockBigGANpp_8": "dec.16x16_block0",
    "ResnetBlockBigGANpp_9": "dec.16x16_block1",
    "GroupNorm_0": "dec.16x16_aux_norm",
    "Conv_1": "dec.16x16_aux_conv",
}
IN_BLOCK = {
    "GroupNorm_0": "norm0",
    "Conv_0": "conv0",
    "Dense_0": "affine",
    "GroupNorm_1": "norm1",
    "Conv_1": "conv1",
    "Conv_2": "skip",
}


@pytest.fixture
def config():
    config = get_config("ve", "ncsnpp")
    config.model.update(nf=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(8,), prediction="edm")
    config.model.update(fir=True, progressive_input="residual", embedding_type="fourier")
    config.data.image_size = 16
    return config


def torch_layout(array):
    return {2: np.transpose, 4: lambda a: a.transpose(3, 2, 0, 1)}.get(array.ndim, np.asarray)(array)


def exported(leaves):
    """Our parameters under EDM's names, in torch's layout."""
    state = {"model.map_augment.weight": np.zeros((16, 9), np.float32)}
    state["model.enc.8x8_down.conv0.resample_filter"] = np.ones((1, 1, 4, 4), np.float32)
    state["model.map_noise.freqs"] = 4 * leaves["GaussianFourierProjection_0/W"]
    for name, array in leaves.items():
        layer, *parts, leaf = name.split("/")
        if layer.startswith(("Gaussian", "AttnBlock")):
            continue
        part = IN_BLOCK[parts[0]] + "." if layer.startswith("Resnet") else ""
        leaf = "bias" if leaf == "bias" else "weight"
        state[f"model.{LAYERS[layer]}.{part}{leaf}"] = torch_layout(-array if layer == "Conv_1" else array)
    for layer in (layer for layer in LAYERS if layer.startswith("AttnBlock")):
        prefix = f"model.{LAYERS[layer]}"
        attention = {name.removeprefix(f"{layer}/"): a for name, a in leaves.items() if name.startswith(f"{layer}/")}
        width = len(attention["NIN_0/b"])
        qkv, bias = np.empty((3 * width, width, 1, 1), np.float32), np.empty(3 * width, np.float32)
        for j in range(3):
            qkv[j::3, :, 0, 0], bias[j::3] = attention[f"NIN_{j}/W"].T, attention[f"NIN_{j}/b"]
        state |= {f"{prefix}.qkv.weight": qkv, f"{prefix}.qkv.bias": bias}
        state |= {f"{prefix}.norm2.weight": attention["GroupNorm_0/scale"]}
        state |= {f"{prefix}.norm2.bias": attention["GroupNorm_0/bias"]}
        state |= {f"{prefix}.proj.weight": attention["NIN_3/W"].T[:, :, None, None]}
        state |= {f"{prefix}.proj.bias": attention["NIN_3/b"]}
    return state


@pytest.mark.parametrize("ordered", [True, False])
def test_names_and_conventions(config, params_of, tmp_path, ordered):
    leaves = params_of(config)
    state = exported(leaves)
    state = state if ordered else {name: state[name] for name in sorted(state)}
    np.savez(tmp_path / "edm.npz", **state)
    safetensors.write(tmp_path / "edm.safetensors", state, {})
    for path in tmp_path.iterdir():
        tree = traverse_util.flatten_dict(interop.load(path, config), sep="/")
        assert tree.keys() == leaves.keys()
        for name in leaves:
            np.testing.assert_array_equal(tree[name], leaves[name], err_msg=name)


def test_networks_that_cannot_be_read(config, params_of, tmp_path):
    state = exported(params_of(config))
    np.savez(tmp_path / "a.npz", **state, **{"model.map_label.weight": np.zeros((16, 10))})
    with pytest.raises(Refused, match="class-conditional"):
        interop.load(tmp_path / "a.npz", config)
    del state["model.map_noise.freqs"]
    np.savez(tmp_path / "b.npz", **state)
    with pytest.raises(Refused, match="positional embedding"):
        interop.load(tmp_path / "b.npz", config)


def test_config_of_another_network(config, params_of, tmp_path):
    np.savez(tmp_path / "a.npz", **exported(params_of(config)))
    config.model.update(prediction="score", fir=False)
    with pytest.raises(ValueError, match="prediction is 'score', the file needs 'edm'.*fir is False"):
        interop.load(tmp_path / "a.npz", config)


def test_objects_and_compressed_arrays(config, tmp_path):
    np.savez(tmp_path / "a.npz", **{"model.enc.8x8_conv.weight": np.array([{}, {}], object)})
    with pytest.raises(Refused, match="not only arrays"):
        interop.load(tmp_path / "a.npz", config)
    np.savez_compressed(tmp_path / "b.npz", **{"model.enc.8x8_conv.weight": np.zeros(1 << 20)})
    with pytest.raises(Refused, match="write it with numpy.savez"):
        interop.load(tmp_path / "b.npz", config)
