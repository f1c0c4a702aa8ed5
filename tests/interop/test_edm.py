"""Exports of EDM: every layer's name, the conventions that differ, and what is refused.

EDM's mapping network, attention and preconditioning are stated here once more, in NumPy, from the arrays of the file.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

import interop
from configs.default import get_config
from files.refused import Refused
from interop import safetensors
from interop.expected import expected_shapes
from models import create_model
from models.eps_net import create_eps_net
from models.unet_layers import AttentionBlock
from sde_lib import get_sde
from tests.interop.conftest import random_params
from tests.interop.edm_files import exported

SONG = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (8,), "prediction": "edm"}
NETWORKS = {
    "ve": SONG | {"fir": True, "progressive_input": "residual", "embedding_type": "fourier"},
    "vp": SONG | {"log_label": True},
    "vp with classes": SONG | {"log_label": True, "num_classes": 10},
    "adm": {
        "num_channels": 64,
        "channel_mult": (1, 2),
        "num_res_blocks": 1,
        "attention_resolutions": (8,),
        "num_head_channels": 64,
        "resblock_updown": True,
        "num_classes": 10,
        "log_label": True,
        "prediction": "edm",
    },
}


def config_of(network):
    config = get_config("ve", "unet" if network == "adm" else "ncsnpp")
    config.model.update(NETWORKS[network])
    config.sde.update(sigma_min=0.002, sigma_max=80.0)
    config.data.image_size = 16
    return config


@pytest.fixture
def config():
    return config_of("ve")


@pytest.fixture(scope="module", params=NETWORKS)
def case(request, tmp_path_factory):
    """(name, config, our parameters, EDM's, an .npz of them)."""
    config = config_of(request.param)
    leaves = random_params(config)
    state = exported(leaves, config)
    path = tmp_path_factory.mktemp("edm") / "network.npz"
    np.savez(path, **state)
    return request.param, config, leaves, {name.removeprefix("model."): a for name, a in state.items()}, path


def loaded(path, config):
    return traverse_util.flatten_dict(interop.load(path, config), sep="/")


def test_names_and_conventions(case, tmp_path):
    network, config, leaves, state, path = case
    np.savez(tmp_path / "sorted.npz", **{f"model.{name}": state[name] for name in sorted(state)})
    safetensors.write(tmp_path / "edm.safetensors", state, {})
    for file in (path, *tmp_path.iterdir()):
        tree = loaded(file, config)
        assert tree.keys() == leaves.keys()
        for name in leaves:
            rounding = 2e-6 if "classes" in network and name in ("class_embedding", "Dense_0/bias") else 0
            np.testing.assert_allclose(tree[name], leaves[name], rtol=0, atol=rounding, err_msg=name)


# --- EDM's formulas, from the arrays of the file -------------------------------------------------------------------


SIGMA = np.array([0.002, 0.7, 80.0])


def silu(x):
    return x / (1 + np.exp(-x))


def mapping(state, sigma, label, adm):
    """The embedding of noise and class that EDM's networks make of log(sigma)/4, before the last activation."""

    def layer(name, x):
        return x @ np.float64(state[f"{name}.weight"]).T + state[f"{name}.bias"]

    noise = np.log(sigma)[:, None] / 4
    if "map_noise.freqs" in state:
        angles = 2 * np.pi * noise * np.float64(state["map_noise.freqs"])
    else:
        half = len(state["map_layer0.weight"].T) // 2
        angles = noise * 1e-4 ** (np.arange(half) / (half - (not adm)))
    halves = (np.cos(angles), np.sin(angles)) if adm else (np.sin(angles), np.cos(angles))
    embedding = np.concatenate(halves, 1)
    if "map_label.weight" in state and not adm:
        one_hot = np.eye(11)[label, :10]  # class -1: all zeros
        embedding = embedding + layer("map_label", np.sqrt(10) * one_hot)
    return layer("map_layer1", silu(layer("map_layer0", embedding)))


def test_the_network_is_told_the_noise_and_the_class_as_there(case):
    network, config, _, state, path = case
    label = np.array([3, -1, 9])
    told = {"label": jnp.asarray(label)} if config.model.num_classes else {}
    module, params = create_model(config), interop.load(path, config)

    def only_dense(layer, _):
        return layer.name == "Dense_1" and len(layer.path) == 1

    @jax.jit
    def embedded(params):
        x, sigma = jnp.zeros((3, 16, 16, 3)), jnp.asarray(SIGMA, jnp.float32)
        _, extra = module.apply(
            {"params": params}, x, sigma, **told, capture_intermediates=only_dense, mutable=["intermediates"]
        )
        return extra["intermediates"]["Dense_1"]["__call__"][0]

    expected = mapping(state, SIGMA, label, network == "adm")
    tolerance = 2e-4 if network == "ve" else 1e-5  # float32 turns frequencies of 30 into angles of 100 radians
    np.testing.assert_allclose(embedded(params), expected, atol=tolerance * np.abs(expected).max())


def test_a_constant_network_gives_the_preconditioned_image(case):
    """Last convolution without weights: F = its bias, so D = c_skip x + c_out bias."""
    _, config, _, state, path = case
    last = "out_conv" if "out_conv.bias" in state else "dec.16x16_aux_conv"
    constant = state | {f"{last}.weight": np.zeros_like(state[f"{last}.weight"])}
    np.savez(path.with_name("constant.npz"), **constant)
    net = create_eps_net(config, create_model(config), get_sde(config))
    params = interop.load(path.with_name("constant.npz"), config)
    x = np.random.default_rng(0).standard_normal((3, 16, 16, 3)).astype(np.float32)
    sigma = SIGMA[:, None, None, None]
    t = jnp.asarray(np.log(SIGMA / 0.002) / np.log(80 / 0.002), jnp.float32)
    D = x - sigma * np.float64(jax.jit(net)(params, x, t))
    variance = sigma**2 + 0.25
    expected = 0.25 / variance * x + 0.5 * sigma / np.sqrt(variance) * state[f"{last}.bias"]
    assert (np.abs(D - expected) < 1e-5 * np.maximum(sigma, 1)).all()  # D = x - sigma eps cancels at large sigma


@pytest.mark.parametrize("case", ["adm"], indirect=True)
def test_heads_of_adm_see_what_they_see_there(case):
    _, config, _, state, path = case
    x = np.random.default_rng(1).standard_normal((2, 4, 4, 128))
    block = {name.removeprefix("dec.8x8_in0."): np.float64(a) for name, a in state.items() if "dec.8x8_in0" in name}
    groups = x.reshape(2, 16, 32, 4)
    normed = (groups - groups.mean((1, 3), keepdims=True)) / np.sqrt(groups.var((1, 3), keepdims=True) + 1e-5)
    h = normed.reshape(2, 16, 128) * block["norm2.weight"] + block["norm2.bias"]
    qkv = h @ block["qkv.weight"][:, :, 0, 0].T + block["qkv.bias"]
    q, k, v = np.moveaxis(qkv.reshape(2, 16, 2, 64, 3), -1, 0)  # channels of there: (head, channel, qkv)
    logits = np.einsum("bqhc,bkhc->bhqk", q, k) / 8
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    seen = np.einsum("bhqk,bkhc->bqhc", weights / weights.sum(-1, keepdims=True), v).reshape(2, 16, 128)
    expected = x + (seen @ block["proj.weight"][:, :, 0, 0].T + block["proj.bias"]).reshape(x.shape)
    params = interop.load(path, config)["AttentionBlock_1"]
    ours = AttentionBlock(heads=2).apply({"params": params}, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


# --- configs ---------------------------------------------------------------------------------------------------


COUNTS = {
    "cifar10_ddpmpp": 55_735_299 - (9 + 11) * 128,
    "cifar10_ncsnpp": 56_397_827 - 9 * 256,
    "ffhq64_ddpmpp": 61_805_571 - 9 * 128,
    "imagenet64_adm": 295_899_267,
}
"""Parameters that EDM's own code makes for the published files (the first with classes), less those of the nine
augmentation labels and, for the first, of its ten classes and their bias."""


@pytest.mark.parametrize("name", COUNTS)
def test_configs_have_as_many_parameters_as_the_published_networks(name):
    config = importlib.import_module(f"configs.edm.{name}").get_config()
    shapes = expected_shapes(config)
    frozen = "GaussianFourierProjection_0/W"
    assert sum(int(np.prod(shape)) for leaf, shape in shapes.items() if leaf != frozen) == COUNTS[name]


# --- refusals --------------------------------------------------------------------------------------------------


def test_config_of_another_network(config, params_of, tmp_path):
    np.savez(tmp_path / "a.npz", **exported(params_of(config), config))
    config.model.update(prediction="score", fir=False)
    with pytest.raises(ValueError, match="set --config.model.prediction=edm --config.model.fir=True"):
        interop.load(tmp_path / "a.npz", config)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("vp", "set .*--config.model.log_label=True .*--config.model.embedding_type=positional"),
        ("vp with classes", "--config.model.num_classes=10"),
        ("adm", "model.name is 'ncsnpp', the file needs 'unet'"),
    ],
)
def test_the_keys_that_differ_are_named(config, params_of, tmp_path, network, message):
    other = config_of(network)
    np.savez(tmp_path / "a.npz", **exported(params_of(other), other))
    with pytest.raises(ValueError, match=message):
        interop.load(tmp_path / "a.npz", config)


@pytest.mark.parametrize(
    ("name", "array", "lines"),
    [
        (
            "map_label.bias",
            None,
            ["missing from the file: class_embedding", "unexpected in the file: map_label.weight"],
        ),
        ("enc.8x8_down.skip.weight", None, ["missing from the file: ResnetBlockBigGANpp_1/Conv_2/kernel"]),
        ("enc.8x8_aux_skip.weight", np.ones((16, 3, 1, 1)), ["unexpected in the file: enc.8x8_aux_skip.weight"]),
        ("u", np.ones(1001), ["unexpected in the file: u"]),
        ("dec.8x8_in0.proj.weight", np.ones((16, 16, 3, 3)), ["other shape: AttnBlockpp_1/NIN_3/W"]),
        ("dec.8x8_in0.qkv.bias", np.ones(47), ["other shape: AttnBlockpp_1/NIN_2/b is (15,) in the file, (16,)"]),
    ],
)
def test_names_and_shapes_must_fit(params_of, tmp_path, name, array, lines):
    config = config_of("vp with classes")
    state = exported(params_of(config), config)
    state.pop(f"model.{name}", None)
    np.savez(tmp_path / "a.npz", **state | ({} if array is None else {f"model.{name}": array}))
    with pytest.raises(ValueError, match="does not fit the config") as error:
        interop.load(tmp_path / "a.npz", config)
    assert [line for line in lines if line not in str(error.value)] == []


def test_objects_numbers_and_compressed_arrays(config, tmp_path):
    np.savez(tmp_path / "a.npz", **{"model.enc.8x8_conv.weight": np.array([{}, {}], object)})
    with pytest.raises(Refused, match="not only arrays"):
        interop.load(tmp_path / "a.npz", config)
    np.savez_compressed(tmp_path / "b.npz", **{"model.enc.8x8_conv.weight": np.zeros(1 << 20)})
    with pytest.raises(Refused, match="compressed entries; torch.save and numpy.savez write none"):
        interop.load(tmp_path / "b.npz", config)
    for odd in (np.float32(1), np.array(["a"]), np.ones(3, bool)):
        np.savez(tmp_path / "c.npz", **{"model.enc.8x8_conv.weight": odd})
        with pytest.raises(Refused, match="enc.8x8_conv.weight is no array of floating-point numbers"):
            interop.load(tmp_path / "c.npz", config)
