"""Single layers against NumPy and golden arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.flops import count
from models import embeddings, layers, unet_layers


def perturbed(params):
    """Random values on every leaf, so that layers that start at zero or one matter."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    noise = [0.3 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return tree.unflatten([leaf + n for leaf, n in zip(leaves, noise, strict=True)])


def numpy_group_norm(x, scale, bias, groups):
    grouped = x.reshape(*x.shape[:3], groups, -1).astype(np.float64)
    mean = grouped.mean((1, 2, 4), keepdims=True)
    variance = grouped.var((1, 2, 4), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape) * scale + bias


@pytest.mark.parametrize(
    ("channels", "preferred", "groups"), [(8, None, 2), (64, None, 16), (256, None, 32), (64, 32, 32), (40, 32, 10)]
)
def test_group_norm_equals_numpy(channels, preferred, groups):
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 4, 6, channels))
    layer = layers.GroupNorm(preferred)
    params = perturbed(layer.init(jax.random.key(1), x))
    leaves = params["params"]
    expected = numpy_group_norm(np.asarray(x), leaves["scale"], leaves["bias"], groups)
    np.testing.assert_allclose(layer.apply(params, x), expected, atol=2e-5)  # the mean is 1.5 deviations off


def test_group_norm_statistics_are_float32_under_bfloat16():
    """A mean of 200 deviations is lost in bfloat16 sums, not in float32 ones."""
    x = (50 + 0.25 * jax.random.normal(jax.random.key(0), (1, 8, 8, 8))).astype(jnp.bfloat16)
    layer = layers.GroupNorm(dtype="bfloat16")
    y = layer.apply(layer.init(jax.random.key(1), x), x)
    assert y.dtype == jnp.bfloat16
    expected = numpy_group_norm(np.asarray(x, np.float64), 1.0, 0.0, 2)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=0.03)


def test_group_norm_refuses_channels_that_do_not_split():
    x = jnp.zeros((1, 2, 2, 3))
    with pytest.raises(ValueError, match="3 channels do not split"):
        layers.GroupNorm().init(jax.random.key(0), x)


@pytest.mark.parametrize("rescale", [False, True])
def test_attention_equals_numpy(rescale):
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 8))
    layer = layers.AttnBlockpp(skip_rescale=rescale)
    params = perturbed(layer.init(jax.random.key(1), x))
    p = jax.tree.map(np.float64, params["params"])
    norm = p["GroupNorm_0"]
    h = numpy_group_norm(np.asarray(x), norm["scale"], norm["bias"], 2).reshape(2, 12, 8)
    q, k, v = (h @ p[f"NIN_{i}"]["W"] + p[f"NIN_{i}"]["b"] for i in range(3))
    weights = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(8))
    weights /= weights.sum(-1, keepdims=True)
    out = np.asarray(x) + (weights @ v @ p["NIN_3"]["W"] + p["NIN_3"]["b"]).reshape(x.shape)
    np.testing.assert_allclose(layer.apply(params, x), out / np.sqrt(2) if rescale else out, atol=1e-5)


@pytest.mark.parametrize("layer", [layers.AttnBlockpp, functools.partial(unet_layers.AttentionBlock, 2, num_groups=4)])
def test_attention_in_bfloat16_has_no_product_in_float32(layer):
    """In its gradient either, which stays near that in float32: some ten roundings of 2^-9 each."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 8))
    params = perturbed(layer().init(jax.random.key(1), x))

    def gradient(dtype):
        return jax.grad(lambda params, x: layer(dtype=dtype).apply(params, x).astype(jnp.float32).var(), argnums=(0, 1))

    assert set(count(jax.make_jaxpr(gradient("bfloat16"))(params, x))) == {"bfloat16"}
    low, full = (jax.tree.leaves(jax.jit(gradient(dtype))(params, x)) for dtype in ("bfloat16", "float32"))
    largest = max(float(abs(leaf).max()) for leaf in full)  # of all: the bias of k has the gradient 0
    for got, want in zip(low, full, strict=True):
        np.testing.assert_allclose(got, want, atol=10 * 2**-9 * largest)


def test_conv_with_kernel_one_is_a_matrix_product():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 8))
    layer = layers.Conv(5, kernel_size=1)
    params = perturbed(layer.init(jax.random.key(1), x))
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    assert kernel.shape == (1, 1, 8, 5)
    np.testing.assert_allclose(layer.apply(params, x), np.asarray(x) @ kernel[0, 0] + bias, atol=1e-5)


@pytest.mark.parametrize("dim", [8, 16])
def test_golden_positional_embedding(golden, dim):
    file = golden("jax/layers_fir_temb.npz")
    ours = embeddings.positional(jnp.asarray(file["ts"]), dim)
    np.testing.assert_allclose(ours, file[f"temb_{dim}"], atol=1e-4)  # float32 times labels to 1e3


def test_positional_embedding_pads_an_odd_dimension():
    labels = jnp.array([0.5, 700.0])
    odd, even = embeddings.positional(labels, 9), embeddings.positional(labels, 8)
    np.testing.assert_array_equal(odd, np.pad(even, ((0, 0), (0, 1))))


def test_fourier_projection_equals_numpy_and_is_not_trained():
    layer = embeddings.GaussianFourierProjection(16, scale=16.0)
    log_labels = jnp.linspace(-4.0, 4.0, 5)
    params = layer.init(jax.random.key(0), log_labels)
    arguments = 2 * np.pi * np.outer(np.float64(log_labels), np.float64(params["params"]["W"]))
    expected = np.concatenate([np.sin(arguments), np.cos(arguments)], -1)
    # arguments reach about 1000 radians: one unit in the last place of float32 is 6e-5 there
    np.testing.assert_allclose(layer.apply(params, log_labels), expected, atol=3e-4)
    gradient = jax.grad(lambda p: layer.apply(p, log_labels).sum())(params)
    assert not np.any(gradient["params"]["W"])


def test_noise_levels_fall_geometrically():
    sigmas = embeddings.noise_levels(jnp.arange(4), 0.01, 10.0, 4)
    np.testing.assert_allclose(sigmas, [10.0, 1.0, 0.1, 0.01], rtol=1e-6)
