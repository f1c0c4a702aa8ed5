"""Images of modes that read some: in batches of one size, and dealt out to the processes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from linnet.data import pipeline
from linnet.data.source import Source
from linnet.devices import parallel, processes
from linnet.engine.progress import progress


def first_images(source: Source, n: int, num_workers: int) -> dict[str, np.ndarray]:
    """The first n examples of a source: {"image" (n, ...) as the data set delivers them, "label" (n,), "index"}."""
    return next(pipeline.one_pass(source, min(n, len(source)), num_workers=num_workers))


def number_of_images(source: Source, wanted: int, default: int) -> int:
    """config.eval.num_images (`wanted`), where 0 stands for `default`; no more than there are."""
    return min(wanted or default, len(source))


def batch_size(size: int, total: int) -> int:
    """config.eval.batch_size, or less for fewer than these `total` images. ValueError if devices cannot share it."""
    devices = jax.local_device_count()
    parallel.check_batch(size, "config.eval.batch_size", devices)
    return min(size, -(-total // devices) * devices)


def fixed_batches(
    source: Source, size: int, total: int, numbers: Sequence[int], num_workers: int
) -> Iterator[tuple[int, dict[str, np.ndarray], int]]:
    """(k, batch k as in `first_images`, how many rows count) for the `numbers` k of batches of `total` images.

    The last batch of these images is filled up with its own.
    """
    read = pipeline.one_pass(source, size, num_workers=num_workers, numbers=numbers)
    for k, batch in zip(numbers, read, strict=True):
        kept = min(size, total - k * size)
        rows = np.arange(size) % kept
        yield k, {key: values[rows] for key, values in batch.items()}, kept


def dealt_out(
    function: Callable[[dict[str, Any]], dict[str, np.ndarray]], examples: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """{name: (n, ...)} that function(examples) finds of examples {name: (n, ...)}, each process of its share of them.

    Every process has the whole, and so has to call it.
    """
    n = len(examples["index"])
    mine = {name: processes.dealt(values) for name, values in examples.items()}
    parts = processes.gather(function(mine) if len(mine["index"]) else {})
    found: dict[str, np.ndarray] = {}
    for number, part in enumerate(parts):
        for name, values in part.items():
            whole = found.setdefault(name, np.empty((n, *values.shape[1:]), values.dtype))
            whole[number :: len(parts)] = values
    return found


def in_batches(
    function: Callable[..., Any], params: dict[str, Any], examples: dict[str, Any], size: int, text: str
) -> dict[str, np.ndarray]:
    """{name: (n, ...)} that function(params, batch) finds of examples {name: (n, ...)}, in batches over the devices.

    `dealt_out` to the processes. params: on the host. size: config.eval.batch_size. text: beside the bar of progress.
    """
    mapped, replicated = parallel.parallel(function), parallel.replicate(params)

    def of_share(share: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        fitting = batch_size(size, len(share["index"]))
        return over_batches(lambda batch: mapped(replicated, batch), share, fitting, text)

    return dealt_out(of_share, examples)


def over_batches(mapped: Callable[..., Any], examples: dict[str, Any], size: int, text: str) -> Any:
    """The tree (n, ...) that mapped(sharded batch) finds of examples {name: (n, ...)}, in batches of `size`.

    The last batch, or the only one where there are fewer, is filled up with the first examples.
    """
    n = len(examples["index"])
    found = []
    for first in progress(range(0, n, size), text, -(-n // size)):
        chosen = (first + np.arange(size)) % n
        batch = parallel.shard({name: values[chosen] for name, values in examples.items()})
        found.append(jax.tree.map(parallel.unshard, mapped(batch)))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *found)
