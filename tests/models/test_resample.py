"""Resampling against golden arrays and the plain formulation: insert zeros, pad, convolve, drop pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from models import resample

TAPS = [(1, 3, 3, 1), (1, 2, 1), (1, 1), (1, 5, 10, 10, 5, 1)]
LAYOUT = ("NHWC", "HWIO", "NHWC")


def plain(x, taps, *, up=1, down=1, before=0, after=0):
    """Zero insertion, padding, one 2-D convolution per channel with the outer product of taps, decimation."""
    kernel = np.outer(taps, taps) / np.sum(taps) ** 2 * up**2
    batch, height, width, channels = x.shape
    z = jnp.zeros((batch, height, up, width, up, channels), x.dtype).at[:, :, 0, :, 0].set(x)
    z = z.reshape(batch, up * height, up * width, channels)
    w = jnp.tile(jnp.asarray(kernel[::-1, ::-1, None, None], x.dtype), (1, 1, 1, channels))
    padding = ((before, after), (before, after))
    y = lax.conv_general_dilated(z, w, (1, 1), padding, dimension_numbers=LAYOUT, feature_group_count=channels)
    return y[:, ::down, ::down]


def plain_upsample(x, taps):
    p = len(taps) - 2
    return plain(x, taps, up=2, before=(p + 1) // 2 + 1, after=p // 2)


def plain_downsample(x, taps):
    p = len(taps) - 2
    return plain(x, taps, down=2, before=(p + 1) // 2, after=p // 2)


def plain_upsample_conv(x, w, taps):
    p = len(taps) - 4
    y = lax.conv_transpose(
        x, w[::-1, ::-1].swapaxes(2, 3), (2, 2), "VALID", dimension_numbers=LAYOUT, transpose_kernel=True
    )
    return 4 * plain(y, taps, before=(p + 1) // 2 + 1, after=p // 2 + 1)


def plain_conv_downsample(x, w, taps):
    n = len(taps)
    y = plain(x, taps, before=(n + 1) // 2, after=n // 2)
    return lax.conv_general_dilated(y, w, (2, 2), "VALID", dimension_numbers=LAYOUT)


def assert_same_with_gradients(ours, reference, *arguments):
    """Equal values, and equal gradients of a random linear functional, to float32 rounding."""
    shape = jax.eval_shape(reference, *arguments).shape
    cotangent = jax.random.normal(jax.random.key(9), shape)

    def value_and_gradients(function):
        value, pullback = jax.vjp(function, *arguments)
        return value, *pullback(cotangent)

    results = [jax.jit(value_and_gradients, static_argnums=0)(function) for function in (ours, reference)]
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, atol=2e-6 * float(abs(want).max()))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(0), (2, 6, 8, 3))


@pytest.fixture
def weight():
    return jax.random.normal(jax.random.key(1), (3, 3, 3, 4))


def test_golden_layers(golden):
    file = golden("jax/layers_fir_temb.npz")
    x, w = (jnp.asarray(file[name], jnp.float32) for name in ("x", "w"))
    taps = tuple(file["kernel"])
    results = {
        "upsample_2d": resample.upsample(x, taps),
        "downsample_2d": resample.downsample(x, taps),
        "upsample_conv_2d": resample.upsample_conv(x, w, taps),
        "conv_downsample_2d": resample.conv_downsample(x, w, taps),
        "naive_up": resample.upsample(x),
        "naive_down": resample.downsample(x),
    }
    for name, result in results.items():  # the manifest: 1e-5 relative in float32
        np.testing.assert_allclose(result, file[name], atol=1e-5 * abs(file[name]).max(), err_msg=name)


@pytest.mark.parametrize("taps", TAPS, ids=str)
def test_filters_equal_the_plain_formulation(x, taps):
    assert_same_with_gradients(lambda x: resample.upsample(x, taps), lambda x: plain_upsample(x, taps), x)
    assert_same_with_gradients(lambda x: resample.downsample(x, taps), lambda x: plain_downsample(x, taps), x)


@pytest.mark.parametrize("taps", TAPS, ids=str)
def test_fused_convolutions_equal_the_plain_formulation(x, weight, taps):
    assert_same_with_gradients(
        lambda x, w: resample.upsample_conv(x, w, taps), lambda x, w: plain_upsample_conv(x, w, taps), x, weight
    )
    assert_same_with_gradients(
        lambda x, w: resample.conv_downsample(x, w, taps), lambda x, w: plain_conv_downsample(x, w, taps), x, weight
    )


def test_box_taps_are_the_mean_and_the_repeat(x):
    np.testing.assert_allclose(resample.downsample(x), x.reshape(2, 3, 2, 4, 2, 3).mean((2, 4)), atol=1e-6)
    np.testing.assert_array_equal(resample.upsample(x), np.repeat(np.repeat(x, 2, 1), 2, 2))


def test_nearest_conv_is_the_convolution_of_the_repeated_image(x, weight):
    def reference(x, w):
        repeated = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
        return lax.conv_general_dilated(repeated, w, (1, 1), "SAME", dimension_numbers=LAYOUT)

    assert_same_with_gradients(resample.nearest_conv, reference, x, weight)


def test_up_and_down_are_adjoint_up_to_the_gain(x):
    """<downsample(y), x> = <y, upsample(x)> / 4 for the symmetric taps."""
    y = jax.random.normal(jax.random.key(2), (2, 12, 16, 3))
    down = jnp.vdot(resample.downsample(y, (1, 3, 3, 1)), x)
    up = jnp.vdot(y, resample.upsample(x, (1, 3, 3, 1)))
    np.testing.assert_allclose(down, up / 4, rtol=1e-4)


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match="must be even, got 5x4"):
        resample.downsample(jnp.zeros((1, 5, 4, 1)))
