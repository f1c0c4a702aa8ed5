"""NCSN++ against golden forward passes, and identities that hold for every combination of its options."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from flax import serialization, traverse_util

from models import create_model
from models.ncsnpp import NCSNpp

TINY = NCSNpp(nf=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,), init_scale=1.0)
RICH = dataclasses.replace(TINY, fir=True, progressive="residual", progressive_input="residual",
                           embedding_type="fourier")


def leaves_of(params):
    return traverse_util.flatten_dict(params, sep="/")


def inputs(height=8, width=8, channels=3):
    x = jax.random.normal(jax.random.key(0), (2, height, width, channels))
    return x, jnp.array([2.5, 700.0])


def shapes(net, x, label):
    return jax.eval_shape(net.init, jax.random.key(1), x, label)["params"]


@pytest.fixture(scope="module", params=["TINY", "RICH"])
def built(request):
    """A network, its parameters, an input, labels, and the output."""
    net = {"TINY": TINY, "RICH": RICH}[request.param]
    x, label = inputs()
    params = jax.jit(net.init)(jax.random.key(1), x, label)["params"]
    return net, params, x, label, apply(net, params, x, label)


def apply(net, params, x, label):
    return jax.jit(lambda p, x, c: net.apply({"params": p}, x, c))(params, x, label)


# --- golden ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[("net_cld_accr", 9e-5), ("net_ddpmpp_vp", 2e-5), ("net_ncsnpp_ve", 9e-5)],
                ids=lambda case: case[0])
def published(request, golden):
    """Arrays, checkpoint, network and tolerance (relative to a sample's largest entry) of one golden case."""
    case, tolerance = request.param
    arrays = golden(f"jax/{case}.npz")
    checkpoint = serialization.msgpack_restore(golden.path(f"jax/{case}_ckpt/checkpoint_7").read_bytes())
    written = json.loads(str(arrays["config_json"]))
    fields = {field.name for field in dataclasses.fields(NCSNpp)}
    model = {key: value for key, value in written["model"].items() if key in fields | {"name"}}
    config = ml_collections.ConfigDict({"model": model, "data": written["data"]})
    return arrays, checkpoint, create_model(config), tolerance


def squeezed_norms(params):
    """Published GroupNorm leaves (1, 1, 1, C) as (C,)."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1) if leaf.shape[:-1] == (1, 1, 1) else leaf, params)


def test_golden_parameter_names_and_shapes(published):
    arrays, checkpoint, net, _ = published
    ours = leaves_of(shapes(net, jnp.asarray(arrays["x"]), jnp.asarray(arrays["labels"])))
    theirs = leaves_of(squeezed_norms(checkpoint["params_ema"]))
    assert {name: leaf.shape for name, leaf in ours.items()} == {name: leaf.shape for name, leaf in theirs.items()}
    assert all(leaf.dtype == jnp.float32 for leaf in ours.values())


def test_golden_forward(published):
    arrays, checkpoint, net, tolerance = published
    weights = {"out_f64": checkpoint["params_ema"], "out_target": checkpoint["optimizer"]["target"]}
    for name, params in weights.items():
        out = apply(net, squeezed_norms(params), arrays["x"], arrays["labels"])
        error = np.abs(out - arrays[name]).max((1, 2, 3)) / np.abs(arrays[name]).max((1, 2, 3))
        assert error.max() <= tolerance, f"{name}: {error}"


# --- every combination of the options that change the graph ------------------------------------------------


@pytest.mark.parametrize(("progressive", "progressive_input", "combine"), [
    (p, i, c) for p, i in itertools.product(("none", "output_skip", "residual"), ("none", "input_skip", "residual"))
    for c in (("sum", "cat") if i == "input_skip" else ("sum",))])
@pytest.mark.parametrize("resblock", ["ddpm", "biggan"])
@pytest.mark.parametrize("fir", [False, True])
@pytest.mark.parametrize("embedding", ["fourier", "positional"])
def test_every_combination_has_the_published_modules(progressive, progressive_input, combine, resblock, fir, embedding):
    """Counts of the modules that own parameters, from the published layout for two levels of one block."""
    net = NCSNpp(nf=8, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(), resblock_type=resblock, fir=fir,
                 progressive=progressive, progressive_input=progressive_input, progressive_combine=combine,
                 embedding_type=embedding)
    x, label = inputs()
    params = shapes(net, x, label)
    assert jax.eval_shape(net.apply, {"params": params}, x, label).shape == x.shape
    kinds = [name.rpartition("_")[0] for name in params]
    resampled = resblock == "ddpm"
    block = "ResnetBlockDDPMpp" if resampled else "ResnetBlockBigGANpp"
    expected = {
        block: 2 + 4 + 2 * (not resampled),  # down path, middle and up path; "biggan" resamples in two more
        "AttnBlockpp": 1,
        "Dense": 2,
        "GaussianFourierProjection": int(embedding == "fourier"),
        "Downsample": resampled + (progressive_input == "residual"),
        "Upsample": resampled + (progressive == "residual"),
        "Combine": int(progressive_input == "input_skip"),
        "GroupNorm": 1 + (progressive != "none"),
        "Conv": 2 + (progressive != "none"),
    }
    assert {kind: kinds.count(kind) for kind in expected} == expected
    assert len(kinds) == sum(expected.values())
    fused = [name for name in leaves_of(params) if "Conv2d_0/weight" in name]
    assert len(fused) == fir * (expected["Downsample"] + expected["Upsample"])


# --- identities --------------------------------------------------------------------------------------------


def test_remat_changes_neither_names_nor_values(built):
    net, params, x, label, out = built
    twin = dataclasses.replace(net, remat=True)
    assert leaves_of(shapes(twin, x, label)).keys() == leaves_of(params).keys()

    def gradient(network):
        return jax.jit(jax.grad(lambda p: jnp.sum(network.apply({"params": p}, x, label) ** 2)))(params)

    np.testing.assert_allclose(apply(twin, params, x, label), out, atol=1e-5)
    for ours, theirs in zip(*map(jax.tree.leaves, (gradient(net), gradient(twin))), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(1.0, float(abs(ours).max())))


def test_bfloat16_is_close_and_returns_float32(built):
    net, params, x, label, out = built
    low = apply(dataclasses.replace(net, dtype="bfloat16"), params, x, label)
    assert low.dtype == jnp.float32
    error = float(jnp.linalg.norm(low - out) / jnp.linalg.norm(out))
    assert 1e-4 < error < 0.05  # bfloat16 keeps 8 bits, 0.4 %, and some twenty layers add up: but it is not float32


def test_vmap_over_single_examples_equals_the_batch(built):
    net, params, x, label, out = built
    one = jax.vmap(lambda x, c: net.apply({"params": params}, x[None], c[None])[0])
    np.testing.assert_allclose(jax.jit(one)(x, label), out, atol=1e-5)


def test_dropout_depends_on_each_key_alone(built):
    net, params, x, label, _ = built
    net = dataclasses.replace(net, dropout=0.5)

    def one(x, c, key):
        return net.apply({"params": params}, x[None], c[None], train=True, rngs={"dropout": key})[0]

    keys = jax.random.split(jax.random.key(3), 2)
    mapped = jax.jit(jax.vmap(one))
    out, swapped = mapped(x, label, keys), mapped(x[::-1], label[::-1], keys[::-1])
    np.testing.assert_allclose(swapped[::-1], out, atol=1e-5)
    assert float(abs(mapped(x, label, keys[::-1]) - out).max()) > 1e-2


def test_unconditional_network_ignores_the_label():
    net = dataclasses.replace(TINY, conditional=False)
    x, label = inputs()
    params = jax.jit(net.init)(jax.random.key(1), x, label)["params"]
    assert not any("Dense" in name for name in leaves_of(params))
    np.testing.assert_array_equal(apply(net, params, x, label), apply(net, params, x, label + 17))


def test_uncentered_input_is_mapped_to_the_centered_range(built):
    net, params, x, label, out = built
    shifted = apply(dataclasses.replace(net, centered=False), params, (x + 1) / 2, label)
    np.testing.assert_allclose(shifted, out, atol=1e-4)  # (x + 1)/2 loses a bit of x, and norms divide by deviations


def test_scale_by_sigma_divides_by_the_noise_level(built):
    net, params, x, label, out = built
    scaled = apply(dataclasses.replace(net, scale_by_sigma=True), params, x, label)
    sigma = label if net.embedding_type == "fourier" else 50.0 * (0.01 / 50.0) ** (np.floor(label) / 999)
    np.testing.assert_allclose(scaled * sigma[:, None, None, None], out, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 16), (16, 8)])
def test_images_may_be_oblong_and_the_orientation_does_not_change_the_parameters(size):
    """Transposing image and kernels transposes the output: no direction is special."""
    net = dataclasses.replace(TINY, attn_resolutions=(8,))
    x, label = inputs(*size, channels=5)
    params = jax.jit(net.init)(jax.random.key(1), x, label)["params"]
    turned = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1) if leaf.ndim == 4 else leaf, params)
    out = apply(net, params, x, label)
    np.testing.assert_allclose(apply(net, turned, x.swapaxes(1, 2), label).swapaxes(1, 2), out, atol=1e-5)


def test_fresh_network_with_init_scale_zero_returns_almost_nothing():
    net = dataclasses.replace(TINY, init_scale=0.0)
    x, label = inputs()
    params = jax.jit(net.init)(jax.random.key(1), x, label)["params"]
    assert float(abs(apply(net, params, x, label)).max()) < 1e-3


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["resblock_type", "progressive", "progressive_input", "progressive_combine",
                                   "embedding_type", "nonlinearity", "dtype"])
def test_unknown_options_are_refused_at_construction(field):
    with pytest.raises(ValueError, match=f"NCSNpp: {field}='unheard' is unknown; choose one of '"):
        NCSNpp(**{field: "unheard"})


def test_sizes_that_do_not_fit_the_strides_are_refused():
    net = dataclasses.replace(TINY, ch_mult=(1, 1, 1))
    with pytest.raises(ValueError, match="image size 10x8 must be a multiple of 4"):
        shapes(net, *inputs(10, 8))


def test_wrong_ranks_are_refused():
    x, label = inputs()
    with pytest.raises(ValueError, match=r"shape \(B, H, W, C\), got \(8, 8, 3\)"):
        shapes(TINY, x[0], label)
    with pytest.raises(ValueError, match=r"one time label per example, shape \(2,\), got \(\)"):
        shapes(TINY, x, label[0])
