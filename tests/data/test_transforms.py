"""Round trips of the 256 levels, dequantisation within a level, and keys that follow the example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.transforms import draw_flips, flip, to_model_range, to_uint8

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("centered", [True, False])
def test_every_level_survives_the_round_trip(centered):
    x = jax.jit(to_model_range, static_argnums=1)(LEVELS, centered)
    assert x.dtype == jnp.float32
    low, high = (-1, 1) if centered else (0, 1)
    assert (float(x.min()), float(x.max())) == (low, high)
    np.testing.assert_array_equal(jax.jit(to_uint8, static_argnums=1)(x, centered), LEVELS)
    in_numpy = to_uint8(np.asarray(x), centered)
    assert type(in_numpy) is np.ndarray
    np.testing.assert_array_equal(in_numpy, LEVELS)


def test_rounding_mends_what_truncation_would_shift():
    x = 2 * (LEVELS.astype(np.float32) / 255) - 1
    assert np.count_nonzero(((x + 1) * np.float32(127.5)).astype(np.uint8) != LEVELS) == 63
    np.testing.assert_array_equal(to_uint8(x), LEVELS)


def test_values_outside_the_range_are_clipped_and_low_precision_is_rounded_in_float32():
    np.testing.assert_array_equal(to_uint8(np.array([-7.0, -1.0, 1.0, 7.0])), [0, 0, 255, 255])
    assert to_uint8(jnp.array([1.0, -1.0], jnp.bfloat16)).tolist() == [255, 0]


def test_dequantised_values_fill_their_level_uniformly():
    images = jnp.asarray(np.tile(LEVELS, (64, 1, 1, 1)))
    keys = jax.random.split(jax.random.key(0), 64)
    x = np.asarray(to_model_range(images, centered=False, dequantize_keys=keys), np.float64)
    np.testing.assert_array_equal(np.floor(256 * x), np.asarray(images))
    u = 256 * x - np.asarray(images)
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / u.size)
    assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / u.size)
    centered = to_model_range(images, dequantize_keys=keys)
    np.testing.assert_allclose(centered, 2 * x - 1, atol=2e-7)


def test_points_pass_unchanged():
    points = jnp.array([[3.5, -2.0]], jnp.float32)
    assert to_model_range(points) is points


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_flips_mirror_about_half_of_the_images(dtype):
    images = np.arange(400 * 2 * 3 * 2).reshape(400, 2, 3, 2).astype(dtype)
    flipped = np.asarray(flip(images, draw_flips(jax.random.split(jax.random.key(1), 400))))
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, images, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert np.all(mirrored ^ same)
    assert abs(mirrored.sum() - 200) < 5 * 10


def test_an_example_is_treated_alike_in_any_batch():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), dtype=np.uint8)
    keys = jax.random.split(jax.random.key(2), 8)

    def treat(keys, images):
        return to_model_range(flip(images, draw_flips(keys)), dequantize_keys=keys)

    whole = treat(keys, images)
    parts = np.concatenate([treat(keys[i : i + 2], images[i : i + 2]) for i in range(0, 8, 2)])
    np.testing.assert_array_equal(whole, parts)
