"""The processes of one run (see devices.distributed): work that is dealt out, and what they tell each other.

Process p of P takes the numbers p, p + P, ...; one process takes all, and what it would tell it keeps. What all
processes have to say is exchanged by `gather` and what is made of it, which are to be called in all of them, in one
order: each waits for the others.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from linnet.devices import parallel

BLOCK = 1024
"""Bytes of a row of text."""

_alone = False


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """In it this process has no others, as in a run of one."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def count() -> int:
    """Number of processes."""
    return 1 if _alone else jax.process_count()


def index() -> int:
    """Number of this one, from 0; the first one writes what is of all, and reports."""
    return 0 if _alone else jax.process_index()


def is_first() -> bool:
    """Whether this is the process that writes and reports."""
    return index() == 0


def dealt(numbers: Any) -> Any:
    """This process's share of a sequence."""
    return numbers[index() :: count()]


def dealt_rows(batches: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first row, rows) of this process's share of an iterable of arrays (n, ...)."""
    first = 0
    for k, rows in enumerate(batches):
        if k % count() == index():
            yield first, rows
        first += len(rows)


def gather(tree: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """{name: host rows (n_p, ...)} of each process p -> [that of process 0, of process 1, ...], in all of them.

    The bits are kept. Names, dtypes and later axes are the same in all processes; {} of one that has nothing to say.
    """
    if count() == 1:
        return [tree]
    layouts = everyones({name: (rows.dtype.str, rows.shape[1:]) for name, rows in tree.items()})
    found: list[dict[str, np.ndarray]] = [{} for _ in layouts]
    for name, (dtype, axes) in next(filter(None, layouts), {}).items():
        rows = np.ascontiguousarray(tree.get(name, np.empty((0, *axes), dtype)))
        width = rows.itemsize * int(np.prod(axes))
        parts = _gather(np.frombuffer(rows.tobytes(), np.uint8).reshape(len(rows), width))
        for process, layout, part in zip(found, layouts, parts, strict=True):
            if layout:
                process[name] = np.frombuffer(part.tobytes(), dtype).reshape(len(part), *axes)
    return found


def everyones(value: Any) -> list[Any]:
    """[value of process 0, of process 1, ...] of what JSON can say, everywhere."""
    if count() == 1:
        return [value]
    text = json.dumps(value).encode()
    rows = np.frombuffer(text.ljust(-(-len(text) // BLOCK) * BLOCK), np.uint8).reshape(-1, BLOCK)
    return [json.loads(part.tobytes()) for part in _gather(rows)]


def _gather(rows):
    """Bytes (n_p, width) uint8 of each process p -> the list of them, everywhere."""
    devices = jax.local_device_count()
    lengths = parallel.whole(parallel.replicate(np.int32([len(rows)])))[::devices]
    padded = np.zeros((-(-max(lengths.max(), 1) // devices) * devices, rows.shape[1]), np.uint8)
    padded[: len(rows)] = rows
    found = parallel.whole(parallel.shard(padded)).reshape(count(), *padded.shape)
    return [part[:n] for part, n in zip(found, lengths, strict=True)]


def agreed(value: Any) -> Any:
    """The value of the first process, of what JSON can say, everywhere."""
    return everyones(value if is_first() else None)[0]


def wait() -> None:
    """Until all processes are here: what the others wrote before can be read after."""
    everyones(None)


def check_same(name: str, *values: Any) -> None:
    """ValueError in all processes unless the `values`, which JSON can say, are the same in all. name: what they are."""
    digest = hashlib.sha256(json.dumps(values).encode()).hexdigest()
    if len(set(everyones(digest))) > 1:
        raise ValueError(f"the processes differ in {name}: start all of them with the same command and data")
