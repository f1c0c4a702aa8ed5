"""What a data set is to the rest of the program: examples by index, held in memory when they fit.

A source yields {"image", "label", "index"}; images are uint8 (H, W, C), 2-D points are float32 (2,). Labels
are 0 where a data set has none (num_classes 0). A source pickles without its decoded images, so that worker
processes receive only what they need to decode an example again.
"""

import abc
import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from linnet.randomness import shuffling

IN_MEMORY_BYTES = 2 * 2**30
"""Decoded examples up to this many bytes are kept in memory; larger data sets are decoded while they are read."""

DECODE_BLOCK = 256
"""Examples per task of the decoding threads."""

PROBES = 16
"""Images that a fingerprint sees decoded: they differ where the rule or Pillow made something else of the files."""

PARALLEL_BYTES = 4096
"""Encoded images below this size decode faster in one thread: the interpreter lock costs more than decoding."""


def with_progress(blocks: Iterable, total: int, text: str) -> Iterable:
    """`blocks` with a bar of images on a terminal (stderr, removed at the end); silent elsewhere or without tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        return blocks
    return tqdm(blocks, total=total, desc=text, unit=" images", unit_scale=DECODE_BLOCK, disable=None, leave=False)


class Source(abc.ABC):
    """A data set with random access.

    Attributes: `name`; `split` "train", "val" or "test"; `shape` of one example, (H, W, C) or (D,); `num_classes`,
    0 if unlabelled; `class_names`, by default the numbers themselves; `dtype` uint8 for images or float32 for points;
    `notes`, lines for people about what was found.
    """

    def __init__(
        self,
        name: str,
        split: str,
        length: int,
        shape: tuple[int, ...],
        num_classes: int,
        dtype=np.uint8,
        decode_threads: int = 1,
        class_names: Iterable[str] = (),
        notes: tuple[str, ...] = (),
    ):
        self.name = name
        self.split = split
        self.shape = tuple(shape)
        self.num_classes = num_classes
        self.dtype, self.notes = np.dtype(dtype), notes
        self.class_names = tuple(class_names) or tuple(map(str, range(num_classes)))
        self._length = length
        self._decode_threads = decode_threads
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None

    @abc.abstractmethod
    def read(self, index: int) -> tuple[np.ndarray, int]:
        """Decode example `index` -> (image of `shape` and `dtype`, label)."""

    @abc.abstractmethod
    def content(self) -> Iterator[bytes]:
        """What the examples are made of, before decoding: equal for equal data, wherever it lies."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) that tells these images from others: content, number and shape, and PROBES of them decoded."""
        digest = hashlib.sha256(f"{len(self)} {self.shape} {self.dtype}".encode())
        for part in self.content():
            digest.update(part)
        for i in np.unique(np.linspace(0, len(self) - 1, PROBES).astype(int)):
            image = self.read(int(i))[0] if self._arrays is None else self._arrays[0][i]
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, np.ndarray | np.int32]:
        """Example `index` in [0, len): image of `shape`, label and index as int32 scalars."""
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {self.name} ({self.split}), which has {len(self)}")
        image, label = self.read(index)
        return {"image": image, "label": np.int32(label), "index": np.int32(index)}

    @property
    def nbytes(self) -> int:
        """Bytes of all decoded examples."""
        return len(self) * math.prod(self.shape) * self.dtype.itemsize

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(images (N, *shape), labels (N,) int32), decoded on the first call; None above IN_MEMORY_BYTES."""
        if self._arrays is None and self.nbytes <= IN_MEMORY_BYTES:
            self._arrays = self._decode_all()
        return self._arrays

    def _decode_all(self) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(self), *self.shape), self.dtype)
        labels = np.empty(len(self), np.int32)

        def decode(start: int) -> None:
            for i in range(start, min(start + DECODE_BLOCK, len(self))):
                images[i], labels[i] = self.read(i)

        starts = range(0, len(self), DECODE_BLOCK)
        with ThreadPoolExecutor(self._decode_threads) as threads:
            done = threads.map(decode, starts)
            try:
                for _ in with_progress(done, len(starts), f"reading {self.name} ({self.split})"):
                    pass
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
        return images, labels

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_arrays": None}


class ArraySource(Source):
    """Examples that exist as arrays: images (N, *shape) uint8 or float32, labels (N,)."""

    def __init__(
        self,
        name: str,
        split: str,
        images: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        class_names: Iterable[str] = (),
        notes: tuple[str, ...] = (),
    ):
        super().__init__(
            name, split, len(images), images.shape[1:], num_classes, images.dtype, class_names=class_names, notes=notes
        )
        self._images, self._labels = images, labels.astype(np.int32)

    def read(self, index: int) -> tuple[np.ndarray, int]:
        return self._images[index], self._labels[index]

    def content(self) -> Iterator[bytes]:
        yield self._images.tobytes()
        yield self._labels.tobytes()

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The arrays themselves: they are in memory whatever their size."""
        return self._images, self._labels


class Renumbered(Source):
    """The examples of `source`; labels are the numbers of their classes among `classes`, which has them all."""

    def __init__(self, source: Source, classes: tuple[str, ...]):
        super().__init__(
            source.name, source.split, len(source), source.shape, len(classes), source.dtype, class_names=classes
        )
        self._source = source
        self._numbers = np.array([classes.index(name) for name in source.class_names], np.int32)

    def read(self, index: int) -> tuple[np.ndarray, int]:
        image, label = self._source.read(index)
        return image, self._numbers[label]

    def content(self) -> Iterator[bytes]:
        yield from self._source.content()
        yield self._numbers.tobytes()

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        found = self._source.arrays()
        return found and (found[0], self._numbers[found[1]])


class Drawn(Source):
    """`n` examples of `source`, all where it has no more, drawn by `seed`; in their own order."""

    def __init__(self, source: Source, n: int, seed: int):
        n = min(n, len(source))
        super().__init__(
            source.name, source.split, n, source.shape, source.num_classes, source.dtype, class_names=source.class_names
        )
        self._source = source
        self._chosen = np.sort(np.argsort(shuffling(seed, 0).random_raw(len(source)), kind="stable")[:n])

    def read(self, index: int) -> tuple[np.ndarray, int]:
        return self._source.read(int(self._chosen[index]))

    def content(self) -> Iterator[bytes]:
        yield from self._source.content()
        yield self._chosen.tobytes()


def decode_threads(encoded_bytes: int) -> int:
    """Threads that decode images of about `encoded_bytes` each fastest."""
    return (os.cpu_count() or 1) if encoded_bytes >= PARALLEL_BYTES else 1
