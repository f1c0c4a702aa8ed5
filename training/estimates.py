"""Estimates: one array per training example, which the training step reads and replaces (DDDM).

    Algorithm 1 of arXiv:2405.13540:  x_hat_i ~ N(0, I) for every i;   each step: read x_hat_i, write the new estimate

On devices the rows are divided between those of all processes: each holds N / devices of them, whatever example it
trains on. A read is a sum over devices of which one has the row, a write goes to the owner; both are part of the
compiled step. On the host every process holds all rows; a batch is read while the step before it is still running,
which is exact because the batches of one epoch have no example in common. An example that is twice in a batch keeps its
later estimate. What is too large for the dtype of the rows is kept as its largest number.
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from linnet import registry
from linnet.arrays import Array
from linnet.randomness import Purpose, key_for

DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
PLACES = ("auto", "device", "host")
DEVICE_BYTES = 4 * 2**30
"""Larger shares than this of one device are kept on the host."""

BLOCK = 4096


def dtype_of(name: str) -> Any:
    """The NumPy dtype `name`. ValueError for an unknown one."""
    return registry.choose(DTYPES, name, "config.training.memory_dtype")


def initial(seed: int, n: int, shape: tuple[int, ...], dtype: str = "float16") -> np.ndarray:
    """Standard normal rows (n, *shape) of `dtype` (see DTYPES); row i depends on (seed, i) alone. ValueError."""
    rows = np.empty((n, *shape), dtype_of(dtype))
    normal = jax.jit(jax.vmap(lambda i: jax.random.normal(key_for(seed, Purpose.ESTIMATES, i), shape)))
    for begin in range(0, n, BLOCK):
        rows[begin : begin + BLOCK] = normal(begin + np.arange(BLOCK))[: n - begin]
    return rows


def on_devices(place: str, nbytes: int, devices: int) -> bool:
    """Whether `nbytes` of rows are sharded over devices, as config.training.memory says. ValueError for other words."""
    registry.check(PLACES, place, "config.training.memory")
    return place == "device" or (place == "auto" and nbytes <= devices * DEVICE_BYTES)


def stored(values: Array, dtype: Any) -> Array:
    """Device arrays as they are kept: of `dtype`, within its range."""
    largest = float(jnp.finfo(dtype).max)
    return jnp.clip(values, -largest, largest).astype(dtype)


def divided(rows: np.ndarray, devices: int) -> np.ndarray:
    """Rows (N, ...) -> (devices * ceil(N / devices), ...), filled up with zeros that nobody reads."""
    missing = -len(rows) % devices
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)]) if missing else rows


def read(rows: Array, index: Array, axis: str) -> Array:
    """This device's examples (n, ...) float32 from the rows that all devices of `axis` share; index (n,) of examples.

    rows (N / devices, ...): those of this device.
    """
    wanted = jax.lax.all_gather(index, axis, tiled=True)
    local = _local(rows, wanted, axis)
    found = rows.at[local].get(mode="fill", fill_value=0).astype(jnp.float32)
    return jax.lax.psum_scatter(found, axis, tiled=True)


def write(rows: Array, index: Array, values: Array, axis: str) -> Array:
    """This device's rows after values (B, ...) were written for the examples index (B,) of the whole batch."""
    later = jnp.triu(index[:, None] == index[None, :], 1).any(1)
    local = jnp.where(later, len(rows), _local(rows, index, axis))
    return rows.at[local].set(stored(values, rows.dtype), mode="drop")


def _local(rows, index, axis):
    """Places of the examples in this device's rows; len(rows), which is none of them, where others hold the row."""
    local = index - jax.lax.axis_index(axis) * len(rows)
    return jnp.where((local >= 0) & (local < len(rows)), local, len(rows))


class HostEstimates:
    """All rows (N, ...) in the memory of this process."""

    def __init__(self, rows):
        self._rows = rows
        self._pending = []
        self._epochs = (0, 0)

    def read(self, index: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        """Rows (n, ...) of the examples index (n,) of this process, whose epochs are `epoch` (n,).

        Waits for the step that is running where it may train on the same examples: an epoch began in this batch, in
        any process, or in the one before it.
        """
        latest = int(epoch.max())
        self._settle(1 if self._epochs == (latest, latest) else 0)
        self._epochs = (self._epochs[1], latest)
        return self._rows[index]

    def write(self, index: Array, values: Array) -> None:
        """Device arrays (B,) and (B, ...) of a step that may still be running."""
        for array in (index, values):
            array.copy_to_host_async()
        self._pending.append((index, values))

    def whole(self) -> np.ndarray:
        """All rows, after every step so far: the array itself, which later steps change."""
        self._settle(0)
        return self._rows

    def _settle(self, left):
        while len(self._pending) > left:
            index, values = self._pending.pop(0)
            self._rows[np.asarray(index)] = np.asarray(values)
