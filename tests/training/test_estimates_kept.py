"""Estimates of examples: rows that depend on their number alone, and reads and writes wherever the rows are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training import estimates

N, AXIS = 11, "batch"


def shared(function, *arrays):
    """`function` on two devices: the leading axis of every array is theirs."""
    return np.asarray(jax.pmap(function, axis_name=AXIS)(*arrays))


@pytest.fixture
def rows():
    return estimates.initial(3, N, (4,), "float32")


@pytest.fixture
def sharded(rows):
    return estimates.divided(rows, 2).reshape(2, -1, 4)


def test_first_rows_are_standard_normal_and_depend_on_seed_and_number_alone(rows):
    many = estimates.initial(3, 5000, (4,), "float32")
    np.testing.assert_array_equal(many[:N], rows)
    assert abs(many.mean()) < 4 / np.sqrt(many.size) and abs(many.var() - 1) < 4 * np.sqrt(2 / many.size)
    assert not np.array_equal(estimates.initial(4, N, (4,), "float32"), rows)
    np.testing.assert_array_equal(estimates.initial(3, N, (4,)), rows.astype(np.float16))


def test_each_device_reads_its_own_examples_from_the_rows_of_all(rows, sharded):
    index = np.array([[10, 0, 5], [6, 3, 10]], np.int32)
    read = shared(lambda r, i: estimates.read(r, i, AXIS), sharded, index)
    np.testing.assert_array_equal(read, rows[index])


def test_written_rows_change_and_no_others(rows, sharded):
    index, values = np.array([7, 0, 10], np.int32), np.arange(12.0, dtype=np.float32).reshape(3, 4)

    def write(r, i, v):
        return estimates.write(r, i, v, AXIS)

    written = shared(write, sharded, np.stack([index] * 2), np.stack([values] * 2)).reshape(-1, 4)[:N]
    rows[index] = values
    np.testing.assert_array_equal(written, rows)


def test_of_an_example_that_is_twice_in_a_batch_the_later_estimate_stays(sharded):
    index, values = np.array([4, 9, 4, 4], np.int32), np.arange(16.0, dtype=np.float32).reshape(4, 4)

    def write(r, i, v):
        return estimates.write(r, i, v, AXIS)

    written = shared(write, sharded, np.stack([index] * 2), np.stack([values] * 2)).reshape(-1, 4)
    np.testing.assert_array_equal(written[[4, 9]], values[[3, 1]])


def test_host_and_devices_remember_the_same_over_epochs(rows, sharded):
    """Batches of 3 of 11 examples run across the ends of epochs; each estimate is a function of what was read."""
    host = estimates.HostEstimates(rows.copy())

    def step(r, i):
        values = jnp.sin(3 * estimates.read(r, i, AXIS)) + i[:, None]
        everywhere = jax.lax.all_gather((i, values), AXIS, tiled=True)
        return estimates.write(r, *everywhere, AXIS)

    step = jax.pmap(step, axis_name=AXIS)
    order = np.concatenate([np.random.default_rng(e).permutation(N) for e in range(8)]).astype(np.int32)
    for k in range(20):
        n = 4 * k + np.arange(4)
        index, epoch = order[n], n // N
        read = host.read(index, epoch)
        host.write(jnp.asarray(index), jnp.sin(3 * jnp.asarray(read)) + index[:, None])
        sharded = step(sharded, index.reshape(2, 2))
    np.testing.assert_allclose(np.asarray(sharded).reshape(-1, 4)[:N], host.whole(), rtol=1e-6, atol=1e-6)


def test_large_memories_are_kept_on_the_host_unless_the_config_says_more():
    half = estimates.DEVICE_BYTES
    assert estimates.on_devices("auto", 2 * half, 2) and not estimates.on_devices("auto", 2 * half + 1, 2)
    assert estimates.on_devices("device", 9 * half, 1) and not estimates.on_devices("host", 1, 1)
    with pytest.raises(ValueError, match="'disk' is unknown.*choose from auto"):
        estimates.on_devices("disk", 1, 1)
    with pytest.raises(ValueError, match="'int8' is unknown.*choose from float16"):
        estimates.initial(0, 1, (1,), "int8")


def test_values_beyond_the_dtype_are_kept_as_its_largest():
    kept = estimates.stored(jnp.array([1e5, -1e9, 0.1]), np.float16)
    assert kept.dtype == np.float16
    np.testing.assert_array_equal(np.asarray(kept, np.float64), [65504, -65504, np.float16(0.1)])
