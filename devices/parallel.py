"""Data parallelism by pmap: the only file that says so, and the first engine of training (see devices.engines).

What is trained is mapped over all devices of all processes that are joined (jax.distributed): `joint`,
`parallel_steps`. What is drawn or measured is mapped over the devices of one process, which waits for no other:
`parallel`; see devices.processes for who does what. Host arrays are placed with explicit shardings, and one copy of a
replicated result is taken from its first addressable shard, so that nothing is moved that need not be.

Networks that only read, those of evaluation, are compiled by jax.jit over the same devices: `everywhere` and `spread`
place what they take.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "batch"
"""The name of the axis of devices inside a mapped function."""


def _mesh():
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def _sharding():
    return NamedSharding(_mesh(), PartitionSpec(AXIS))


def replicate(tree: Any) -> Any:
    """A copy of every leaf on each local device: shape (devices, ...)."""
    n = jax.local_device_count()
    sharding = _sharding()
    return jax.tree.map(lambda a: jax.device_put(np.broadcast_to(np.asarray(a), (n, *np.shape(a))), sharding), tree)


def place(state: Any) -> Any:
    """A TrainState on the host -> a copy on each local device.

    On CPU `replicate` shares the host's memory, which is not donated: the copy is what the first step writes over.
    """
    return jax.tree.map(jnp.copy, replicate(state))


def bytes_on_device(state: Any, devices: int) -> int:
    """Bytes of a TrainState (arrays or their shapes) on each device, whatever their number."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def first(tree: Any) -> Any:
    """One copy of a replicated tree, on its device: the first shard, without the device axis."""
    return jax.tree.map(lambda a: a.addressable_shards[0].data[0], tree)


def to_host(tree: Any) -> Any:
    """One copy of a replicated tree as NumPy arrays."""
    return jax.tree.map(lambda a: np.array(a.addressable_shards[0].data)[0], tree)


def shard(batch: Any) -> Any:
    """Host arrays (n, ...) -> (devices, n / devices, ...) on the local devices."""
    n = jax.local_device_count()
    sharding = _sharding()
    return jax.tree.map(lambda a: jax.device_put(a.reshape(n, -1, *a.shape[1:]), sharding), batch)


def shard_steps(batches: Sequence[Any]) -> Any:
    """A list of s host batches (n, ...) -> one tree (devices, s, n / devices, ...) on the local devices."""
    n = jax.local_device_count()
    sharding = _sharding()

    def place(*arrays):
        stacked = np.stack([a.reshape(n, -1, *a.shape[1:]) for a in arrays], axis=1)
        return jax.device_put(stacked, sharding)

    return jax.tree.map(place, *batches)


def everywhere(tree: Any) -> Any:
    """The tree on every local device, without a device axis: for jax.jit. Nothing is moved that is there already."""
    return jax.device_put(tree, NamedSharding(_mesh(), PartitionSpec()))


def spread(array: np.ndarray) -> jax.Array:
    """A host array (n, ...), its rows divided over the local devices, without a device axis: for jax.jit."""
    return jax.device_put(array, _sharding())


def unshard(array: jax.Array) -> np.ndarray:
    """(devices, n, ...) -> NumPy (local devices * n, ...): what this process holds, in the order of its devices."""
    return np.concatenate([np.asarray(shard.data)[0] for shard in array.addressable_shards])


def own(tree: Any) -> Any:
    """The part of a tree of `joint` functions that lies on the devices of this process, for `parallel` ones."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda array: stacked([shard.data for shard in array.addressable_shards]), tree)


def stacked(parts: Sequence[jax.Array]) -> jax.Array:
    """Arrays (1, ...), one on each local device -> (devices, ...), where they are."""
    return jax.make_array_from_single_device_arrays((len(parts), *parts[0].shape[1:]), _sharding(), parts)


def whole(array: jax.Array, block: int = 4096) -> np.ndarray:
    """Rows (devices, n, ...) of the devices of all processes -> NumPy (all devices * n, ...) in every process."""
    if jax.process_count() == 1:
        return unshard(array)
    n = array.shape[1]
    block = min(block, array.shape[1])
    cut = joint(lambda rows, start: jax.lax.all_gather(jax.lax.dynamic_slice_in_dim(rows, start, block), AXIS))
    rows = np.empty((jax.device_count(), *array.shape[1:]), array.dtype)
    for begin in range(0, n, block):
        start = min(begin, n - block)
        rows[:, start : start + block] = first(cut(array, replicate(np.int32(start))))
    return rows.reshape(-1, *rows.shape[2:])


@functools.cache
def _largest():
    return joint(lambda array: jax.lax.pmax(array, AXIS))


def anywhere(flag: bool) -> jax.Array:
    """Whether `flag` holds in any process: () int32 on the device, not waited for. To be called in all of them."""
    return first(_largest()(replicate(np.int32(flag))))


def share(rows: np.ndarray) -> jax.Array:
    """Host rows (all devices * n, ...) -> (local devices, n, ...): on each device its part."""
    parts = np.split(rows, jax.process_count())
    own = jax.process_index()
    return shard(parts[own])


def check_batch(batch_size: int, name: str, devices: int, parts: int = 1) -> None:
    """ValueError unless `batch_size` splits evenly over so many `devices`, and each share into `parts`."""
    if batch_size < 1:
        raise ValueError(f"{name}={batch_size} must be at least 1")
    if batch_size % (devices * parts):
        by = f"{devices} devices" + (f" times {parts} parts of grad_accum" if parts > 1 else "")
        raise ValueError(f"{name}={batch_size} is not divisible by {by}; use a multiple of {devices * parts}")


def repeated(step: Callable[..., Any]) -> Callable[..., Any]:
    """step(state, batch) -> (state, batches (s, ...)) -> (state, metrics (s, ...)); s = 1 without a loop around it."""

    def run(state, batches):
        if jax.tree.leaves(batches)[0].shape[0] == 1:
            state, metrics = step(state, jax.tree.map(lambda a: a[0], batches))
            return state, jax.tree.map(lambda m: m[None], metrics)
        return jax.lax.scan(step, state, batches)

    return run


def parallel_steps(step: Callable[..., Any]) -> Callable[..., Any]:
    """step(state, batch) -> pmapped (state, batches (devices, s, ...)) -> (state, metrics (devices, s, ...)).

    The state is donated. s = 1 (always so on CPU) runs the step without a loop around it.
    """
    return jax.pmap(repeated(step), axis_name=AXIS, donate_argnums=0)


def parallel_measure(measure: Callable[..., Any]) -> Callable[..., Any]:
    """measure(copied, batch), the same on every device of AXIS -> pmapped, of arrays with a device axis."""
    return joint(measure)


def joint(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` on every device of all processes over arrays with a device axis, whose name is AXIS.

    To be called in all processes, which wait for each other.
    """
    return jax.pmap(function, axis_name=AXIS)


def parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` on every device of this process over arrays with a device axis, whose name is AXIS."""
    return jax.pmap(function, axis_name=AXIS, devices=jax.local_devices())
