"""NCSN++ against golden forward passes, and identities that hold for every combination of its options."""

import dataclasses
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
RICH = dataclasses.replace(
    TINY, fir=True, progressive="residual", progressive_input="residual", embedding_type="fourier"
)


def leaves_of(params):
    return traverse_util.flatten_dict(params, sep="/")


def inputs(height=8, width=8, channels=3):
    x = jax.random.normal(jax.random.key(0), (2, height, width, channels))
    return x, jnp.array([2.5, 700.0])


def shapes(net, x, label):
    return jax.eval_shape(net.init, jax.random.key(1), x, label)["params"]


def random_parameters(net, x, label):
    """Normal values of the scale of each layer's fan-in, so that layers that start at zero matter too."""
    rng = np.random.default_rng(1)

    def draw(leaf):
        deviation = max(1, int(np.prod(leaf.shape[:-1]))) ** -0.5 if leaf.ndim > 1 else 0.3
        return (deviation * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree.map(draw, shapes(net, x, label))


@pytest.fixture(scope="module", params=["TINY", "RICH"])
def built(request):
    """A network, its parameters, an input, labels, and the output."""
    net = {"TINY": TINY, "RICH": RICH}[request.param]
    x, label = inputs()
    params = random_parameters(net, x, label)
    return net, params, x, label, apply(net, params, x, label)


def apply(net, params, x, label):
    return jax.jit(lambda p, x, c: net.apply({"params": p}, x, c))(params, x, label)


# --- golden ------------------------------------------------------------------------------------------------


TOLERANCES = [("net_cld_accr", 9e-5), ("net_ddpmpp_vp", 2e-5), ("net_ncsnpp_ve", 9e-5)]  # from the manifest


@pytest.fixture(scope="module", params=TOLERANCES, ids=lambda case: case[0])
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
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, theirs)
    assert all(leaf.dtype == jnp.float32 for leaf in ours.values())


def test_golden_forward(published):
    arrays, checkpoint, net, tolerance = published
    weights = {"out_f64": checkpoint["params_ema"], "out_target": checkpoint["optimizer"]["target"]}
    for name, params in weights.items():
        out = apply(net, squeezed_norms(params), arrays["x"], arrays["labels"])
        error = np.abs(out - arrays[name]).max((1, 2, 3)) / np.abs(arrays[name]).max((1, 2, 3))
        assert error.max() <= tolerance, f"{name}: {error}"


# --- every combination of the options that change the graph ------------------------------------------------


@pytest.mark.parametrize("progressive", ["none", "output_skip", "residual"])
@pytest.mark.parametrize(
    ("progressive_input", "combine"),
    [("none", "sum"), ("input_skip", "sum"), ("input_skip", "cat"), ("residual", "sum")],
)
@pytest.mark.parametrize("resblock", ["ddpm", "biggan"])
@pytest.mark.parametrize("fir", [False, True])
def test_every_combination_has_the_published_modules(progressive, progressive_input, combine, resblock, fir):
    """Counts of the modules that own parameters, from the published layout for two levels of one block."""
    net = NCSNpp(
        nf=8,
        ch_mult=(1, 1),
        num_res_blocks=1,
        attn_resolutions=(),
        resblock_type=resblock,
        fir=fir,
        progressive=progressive,
        progressive_input=progressive_input,
        progressive_combine=combine,
        embedding_type="fourier",
    )
    x, label = inputs()
    out, variables = jax.eval_shape(net.init_with_output, jax.random.key(1), x, label)
    params = variables["params"]
    assert (out.shape, out.dtype) == (x.shape, jnp.float32)
    kinds = [name.rpartition("_")[0] for name in params]
    resampled = resblock == "ddpm"
    block = "ResnetBlockDDPMpp" if resampled else "ResnetBlockBigGANpp"
    expected = {
        block: 2 + 2 + 4 + 2 * (not resampled),  # way down, middle, way up; "biggan" resamples in two more
        "AttnBlockpp": 1,
        "Dense": 2,
        "GaussianFourierProjection": 1,
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


def test_remat_changes_neither_names_nor_values():
    x, label = inputs()
    params = random_parameters(TINY, x, label)
    twin = dataclasses.replace(TINY, remat=True)
    assert leaves_of(shapes(twin, x, label)).keys() == leaves_of(params).keys()

    def value_and_gradient(net):
        return jax.jit(jax.value_and_grad(lambda p: jnp.mean(net.apply({"params": p}, x, label) ** 2)))(params)

    for ours, theirs in zip(*map(jax.tree.leaves, map(value_and_gradient, (TINY, twin))), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, float(abs(ours).max())))


def test_bfloat16_is_close_and_returns_float32(built):
    net, params, x, label, out = built
    low = apply(dataclasses.replace(net, dtype="bfloat16"), params, x, label)
    assert low.dtype == jnp.float32
    error = float(jnp.linalg.norm(low - out) / jnp.linalg.norm(out))
    assert 1e-4 < error < 0.05  # bfloat16 rounds by 0.4 % and some twenty layers add up


def test_parameters_and_output_are_float32_where_jax_has_float64(x64):
    x, label = np.zeros((2, 8, 8, 3)), np.full(2, 3.0)
    net = dataclasses.replace(RICH, scale_by_sigma=True)
    out, params = jax.eval_shape(net.init_with_output, jax.random.key(1), x, label)
    assert {leaf.dtype for leaf in jax.tree.leaves((out, params))} == {jnp.dtype("float32")}


def test_dropout_depends_on_each_key_alone(built):
    """Neither on the place in the batch nor on the other examples in it."""
    net, params, x, label, out = built
    net = dataclasses.replace(net, dropout=0.5)
    run = jax.jit(lambda x, c, keys: net.apply({"params": params}, x, c, train=keys))
    keys = jax.random.split(jax.random.key(3), 2)
    dropped = run(x, label, keys)
    np.testing.assert_allclose(run(x[::-1], label[::-1], keys[::-1])[::-1], dropped, atol=1e-5)
    assert float(abs(run(x, label, keys[::-1]) - dropped).max()) > 1e-2
    with pytest.raises(ValueError, match="give one key per example"):
        net.apply({"params": params}, x, label, train=True)


def test_unconditional_network_ignores_the_label():
    net = dataclasses.replace(TINY, conditional=False)
    x, label = inputs()
    params = random_parameters(net, x, label)
    assert not any("Dense" in name for name in leaves_of(params))
    run = jax.jit(lambda label: net.apply({"params": params}, x, label))
    np.testing.assert_array_equal(run(label), run(label + 17))


def test_uncentered_input_is_mapped_to_the_centered_range(built):
    net, params, x, label, out = built
    shifted = apply(dataclasses.replace(net, centered=False), params, (x + 1) / 2, label)
    np.testing.assert_allclose(shifted, out, atol=1e-4)  # (x + 1)/2 loses a bit of x; norms amplify it


def test_scale_by_sigma_divides_by_the_noise_level(built):
    net, params, x, label, out = built
    scaled = apply(dataclasses.replace(net, scale_by_sigma=True), params, x, label)
    sigma = label if net.embedding_type == "fourier" else 50.0 * (0.01 / 50.0) ** (np.floor(label) / 999)
    np.testing.assert_allclose(scaled * sigma[:, None, None, None], out, atol=1e-5)


def test_log_label_is_a_quarter_of_the_logarithm():
    x, label = inputs()
    params = random_parameters(TINY, x, label)
    net = dataclasses.replace(TINY, log_label=True)
    out = apply(net, params, x, label)
    np.testing.assert_allclose(out, apply(TINY, params, x, jnp.log(label) / 4), atol=1e-5)
    scaled = apply(dataclasses.replace(net, scale_by_sigma=True), params, x, label)
    np.testing.assert_allclose(scaled * label[:, None, None, None], out, atol=1e-5)


def test_a_class_shifts_the_embedding_by_its_row():
    """A row of the table through the first dense layer is a shift of that layer's bias."""
    net = dataclasses.replace(TINY, num_classes=3)
    x, label = inputs()
    params = random_parameters(net, x, label)
    plain = {name: leaf for name, leaf in params.items() if name != "class_embedding"}
    assert params["class_embedding"].shape == (3, 8)
    run = jax.jit(lambda classes: net.apply({"params": params}, x, label, label=classes))
    out = run(jnp.array([2, -1]))
    dense = plain["Dense_0"]
    shifted = plain | {"Dense_0": dense | {"bias": dense["bias"] + params["class_embedding"][2] @ dense["kernel"]}}
    np.testing.assert_allclose(out[0], apply(TINY, shifted, x, label)[0], atol=1e-5)
    np.testing.assert_allclose(out[1], apply(TINY, plain, x, label)[1], atol=1e-5)
    np.testing.assert_allclose(run(jnp.array([-1, -1])), apply(net, params, x, label), atol=1e-6)
    assert float(abs(out[0] - run(jnp.array([1, -1]))[0]).max()) > 1e-3


def test_images_may_be_oblong_and_neither_direction_is_special():
    """Transposing image and kernels transposes the output, with the same parameters and attention levels."""
    net = dataclasses.replace(TINY, attn_resolutions=(8,))
    x, label = inputs(8, 16, channels=5)
    params = random_parameters(net, x, label)
    turned = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1) if leaf.ndim == 4 else leaf, params)
    out = apply(net, params, x, label)
    np.testing.assert_allclose(apply(net, turned, x.swapaxes(1, 2), label).swapaxes(1, 2), out, atol=1e-5)


def test_fresh_network_with_init_scale_zero_returns_almost_nothing():
    net = dataclasses.replace(TINY, init_scale=0.0)
    x, label = inputs()
    out, _ = jax.jit(net.init_with_output)(jax.random.key(1), x, label)
    assert float(abs(out).max()) < 1e-3


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "resblock_type",
        "progressive",
        "progressive_input",
        "progressive_combine",
        "embedding_type",
        "nonlinearity",
        "dtype",
    ],
)
def test_unknown_options_are_refused_at_construction(field):
    with pytest.raises(ValueError, match=f"config.model.{field}='unheard' is unknown; choose from "):
        NCSNpp(**{field: "unheard"})


def test_sizes_that_do_not_fit_the_strides_are_refused():
    net = dataclasses.replace(TINY, ch_mult=(1, 1, 1))
    with pytest.raises(ValueError, match="image size 10x8 must be a multiple of 4"):
        shapes(net, *inputs(10, 8))


def test_a_class_without_classes_and_options_that_exclude_each_other_are_refused():
    x, label = inputs()
    with pytest.raises(ValueError, match="needs num_classes, which this network was built without"):
        jax.eval_shape(lambda: TINY.init(jax.random.key(0), x, label, label=jnp.zeros(2, int)))
    with pytest.raises(ValueError, match="log_label is for embedding_type='positional'"):
        NCSNpp(log_label=True, embedding_type="fourier")
    with pytest.raises(ValueError, match="num_classes needs conditional=True"):
        NCSNpp(num_classes=3, conditional=False)


def test_wrong_ranks_are_refused():
    x, label = inputs()
    with pytest.raises(ValueError, match=r"shape \(B, H, W, C\), got \(8, 8, 3\)"):
        shapes(TINY, x[0], label)
    with pytest.raises(ValueError, match=r"one time label per example, shape \(2,\), got \(\)"):
        shapes(TINY, x, label[0])
