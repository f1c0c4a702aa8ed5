"""Batches of a source as a pure function of (seed, position), from memory or through grain workers.

Examples are counted by n = start, start + 1, ... over the whole run: n belongs to epoch n // len(source) and
is the example permutation(seed, epoch)[n % len(source)]. A global batch is batch_size consecutive n, of which
process p of P takes rows [p b, (p + 1) b), b = batch_size / P. So nothing but n needs storing to resume bit
for bit, batches run across the end of an epoch without a short one, and the number of processes does not
change what is in a batch.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence

import numpy as np

from linnet.data import workers
from linnet.data.prefetch import prefetch
from linnet.data.source import Source
from linnet.randomness import shuffling

__all__ = ["batches", "one_pass", "permutation", "prefetch"]

Batch = dict[str, np.ndarray]


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order of an epoch, (length,) int: the ranks of Philox's raw words.

    NumPy promises the raw words of a bit generator to stay as they are from release to release, which it does
    not promise of `Generator.permutation`; a run can so be resumed after an upgrade.
    """
    order = np.argsort(shuffling(seed, epoch).random_raw(length), kind="stable")
    order.flags.writeable = False
    return order


@dataclasses.dataclass(frozen=True)
class Order:
    """Which example stands at position n: n -> index into the source."""

    length: int
    seed: int
    shuffle: bool

    def __call__(self, n: np.ndarray) -> np.ndarray:
        epoch, place = np.divmod(n, self.length)
        if not self.shuffle:
            return place
        index = np.empty_like(place)
        for e in np.unique(epoch):
            index[epoch == e] = permutation(self.seed, int(e), self.length)[place[epoch == e]]
        return index


@dataclasses.dataclass(frozen=True)
class Rows:
    """The positions of batch k in one process: first + k * stride + (0 .. count - 1), cut off at `end`.

    numbers: with them, those of batch numbers[k].
    """

    first: int
    stride: int
    count: int
    end: int | None = None
    numbers: tuple[int, ...] | None = None

    def __call__(self, k: int) -> np.ndarray:
        k = k if self.numbers is None else self.numbers[k]
        n = self.first + k * self.stride + np.arange(self.count)
        return n if self.end is None else n[n < self.end]


@dataclasses.dataclass(frozen=True)
class Decode:
    """Batch k, decoded example by example: what a grain worker runs."""

    source: Source
    order: Order
    rows: Rows

    def __call__(self, k: int) -> Batch:
        n = self.rows(k)
        index = self.order(n)
        images, labels = zip(*(self.source.read(int(i)) for i in index), strict=True)
        return as_batch(np.stack(images), np.array(labels), index, n // self.order.length)


def as_batch(images: np.ndarray, labels: np.ndarray, index: np.ndarray, epoch: np.ndarray) -> Batch:
    """The arrays of n examples, first axis n, by name; numbers as int32."""
    numbers = {"label": labels, "index": index, "epoch": epoch}
    return {"image": images} | {name: values.astype(np.int32) for name, values in numbers.items()}


def batches(
    source: Source,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    shuffle: bool = True,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """Endless batches for training, from global position `start`.

    batch_size: of all processes together. num_workers: decoding processes when the source does not fit in
    memory; 0 decodes in threads. Yields {"image": (b, *shape), "label": (b,) int32, "index": (b,) int32,
    "epoch": (b,) int32}.
    Raises ValueError if the batch does not divide by the processes.
    """
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"a batch of {batch_size} does not divide by {process_count} processes; "
            "choose a training.batch_size that is a multiple of their number"
        )
    count = batch_size // process_count
    rows = Rows(start + process_index * count, batch_size, count)
    return read_batches(source, Order(len(source), seed, shuffle), rows, None, num_workers)


def one_pass(
    source: Source, batch_size: int, *, num_workers: int = 0, numbers: Sequence[int] | None = None
) -> Iterator[Batch]:
    """Each example once, in order; the last batch may be short. For statistics.

    numbers: of the batches to read, where these are not all.
    """
    order = Order(len(source), 0, shuffle=False)
    numbers = range(-(-len(source) // batch_size)) if numbers is None else numbers
    rows = Rows(0, batch_size, batch_size, end=len(source), numbers=tuple(numbers))
    return read_batches(source, order, rows, len(numbers), num_workers)


def read_batches(source: Source, order: Order, rows: Rows, number: int | None, num_workers: int) -> Iterator[Batch]:
    """Batches k = 0, 1, ... (`number` of them, None: endless), gathered from memory or decoded ahead by grain."""
    if number == 0:
        return
    arrays = source.arrays()
    if arrays is None:
        yield from decode_ahead(Decode(source, order, rows), number, num_workers)
        return
    images, labels = arrays
    k = 0
    while number is None or k < number:
        n = rows(k)
        index = order(n)
        yield as_batch(images[index], labels[index], index, n // order.length)
        k += 1


def decode_ahead(decode: Decode, number: int | None, num_workers: int) -> Iterator[Batch]:
    """Batches in order, decoded by threads of this process or by `num_workers` processes; ImportError without grain."""
    try:
        import grain
    except ImportError as error:
        raise ImportError(
            f"{decode.source.name} does not fit in memory, and streaming it needs the package grain: pip install grain"
        ) from error
    threads = 1 if num_workers else min(os.cpu_count() or 1, 16)
    reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    dataset = grain.MapDataset.range(2**62 if number is None else number).map(decode).to_iter_dataset(reading)
    if num_workers:
        allow_workers()
        options = grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=2)
        dataset = dataset.mp_prefetch(options, functools.partial(workers.follow, os.getpid()))
    iterator = iter(dataset)
    try:
        with workers.deaf() if num_workers else contextlib.nullcontext():
            first = next(iterator)  # starts the workers
        yield first
        yield from iterator
    finally:
        iterator.close()


def allow_workers() -> None:
    """Grain's workers read absl flags; outside an absl program (tests, notebooks) nobody has parsed them."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
