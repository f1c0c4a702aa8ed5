"""Data parallelism by jax.jit over a mesh: the second engine of training, with the functions of devices.parallel.

Arrays are global, without a device axis, and a NamedSharding says what of them lies where: parameters on every device;
what only the update reads (moments, averages) divided between the devices along its largest axis that their number
divides, as in ZeRO's first stage (arXiv:1910.02054, Section 5.1); batches and rows of examples by their first axis.
The gradient is that of the device's own examples and meets the others on the axis AXIS, exactly as under pmap; the
update is written for whole arrays, and XLA lets each device compute its part of it.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from linnet.devices import parallel
from linnet.devices.parallel import AXIS

COPIED = PartitionSpec()
ROWS = PartitionSpec(AXIS)


def mesh_of(devices: Iterable[jax.Device]) -> Mesh:
    """The mesh of these devices; those of a process lie together, as its rows of a batch do."""
    return Mesh(np.array(sorted(devices, key=lambda device: device.process_index)), (AXIS,))


def _sharding(spec):
    return NamedSharding(mesh_of(jax.devices()), spec)


def divided(leaf: Any, devices: int) -> PartitionSpec:
    """The PartitionSpec of an array that need not be whole on each of so many devices."""
    sizes = [0 if size % devices else size for size in leaf.shape]
    if not any(sizes):
        return COPIED
    axis = sizes.index(max(sizes))
    return PartitionSpec(*[None] * axis, AXIS)


def layout(state: Any, devices: int) -> Any:
    """The PartitionSpec of every leaf of a TrainState on so many devices."""
    return state.layout(lambda _: COPIED, lambda leaf: divided(leaf, devices), lambda _: ROWS)


def bytes_on_device(state: Any, devices: int) -> int:
    """Bytes of a TrainState (arrays or their shapes) on each of so many devices."""

    def share(leaf, spec):
        return leaf.size * leaf.dtype.itemsize // (1 if spec == COPIED else devices)

    return sum(jax.tree.leaves(jax.tree.map(share, state, layout(state, devices))))


def _place(array, spec):
    """A host array, whole in every process, on all devices as `spec` says."""
    array = np.asarray(array)
    return jax.make_array_from_callback(array.shape, _sharding(spec), lambda index: array[index])


def place(state: Any) -> Any:
    """A TrainState on the host, the same in every process -> on all devices."""
    return jax.tree.map(_place, state, layout(state, jax.device_count()))


def share(rows: np.ndarray) -> jax.Array:
    """Host rows (N, ...), the same in every process, N a multiple of the devices -> on each device its part."""
    return _place(rows, ROWS)


def shard(batch: Any) -> Any:
    """Host arrays, this process's rows (n, ...) of each -> (processes * n, ...) on all devices."""
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(_sharding(ROWS), rows), batch)


def shard_steps(batches: Sequence[Any]) -> Any:
    """A list of s host batches, this process's rows (n, ...) of each -> one tree (s, processes * n, ...)."""
    sharding = _sharding(PartitionSpec(None, AXIS))
    return jax.tree.map(lambda *rows: jax.make_array_from_process_local_data(sharding, np.stack(rows)), *batches)


def first(tree: Any) -> Any:
    """One copy of a tree that is the same on all devices, on the first of them."""
    return jax.tree.map(lambda a: a.addressable_data(0), tree)


def everywhere(tree: Any) -> Any:
    """The tree whole on every device. To be called in all processes."""
    return jax.device_put(tree, _sharding(COPIED))


def to_host(tree: Any) -> Any:
    """A tree as NumPy arrays, leaf by leaf, in every process. To be called in all of them."""
    return jax.tree.map(lambda a: np.array(everywhere(a).addressable_data(0)), tree)


def _parts(array):
    """What lies on each device of this process, with a device axis: [(1, ...), ...]."""
    return [part.data[None] for part in array.addressable_shards]


def own(tree: Any) -> Any:
    """A tree for `parallel.parallel` functions: a copy on each device of this process. To be called in all."""
    return jax.tree.map(lambda a: parallel.stacked(_parts(a)), everywhere(tree))


def whole(rows: jax.Array) -> np.ndarray:
    """Rows of examples (N, ...) as NumPy, in every process. To be called in all of them."""
    parts = _parts(rows)
    shape = (jax.device_count(), *parts[0].shape[1:])
    return parallel.whole(jax.make_array_from_single_device_arrays(shape, _sharding(ROWS), parts))


def parallel_steps(step: Any, mesh: Mesh | None = None) -> Callable[..., Any]:
    """A training.step.TrainStep -> jitted (state, batches (s, n, ...)) -> (state, metrics (s, ...)).

    The state is donated. s = 1 (always so on CPU) runs the step without a loop around it. mesh: of all devices unless
    it is given.
    """
    mesh = mesh or mesh_of(jax.devices())

    def one(state, batch):
        read = state.replace(ema=(), opt_state=())
        specs = layout(read, mesh.size)
        differentiate = jax.shard_map(
            step.differentiate, mesh=mesh, in_specs=(specs, ROWS), out_specs=(specs, COPIED, COPIED), check_vma=False
        )
        seen, grads, metrics = differentiate(read, batch)
        state = step.update(seen.replace(ema=state.ema, opt_state=state.opt_state), grads)
        shardings = jax.tree.map(functools.partial(NamedSharding, mesh), layout(state, mesh.size))
        return jax.lax.with_sharding_constraint(state, shardings), metrics

    return jax.jit(parallel.repeated(one), donate_argnums=0)


def parallel_measure(measure: Callable[..., Any]) -> Callable[..., Any]:
    """measure(copied, batch), the same on every device of AXIS -> jitted (copied, batch (n, ...)) -> that."""
    mesh = mesh_of(jax.devices())
    return jax.jit(jax.shard_map(measure, mesh=mesh, in_specs=(COPIED, ROWS), out_specs=COPIED, check_vma=False))
