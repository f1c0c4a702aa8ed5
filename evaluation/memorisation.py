"""Copies of training images among samples, by calibrated nearest-neighbour distances.

With d_1 <= d_2 <= ... the Euclidean distances of a sample to the training images,

    r = d_1 / mean(d_1, ..., d_K),    K = 50,

and a sample is called a copy where r < 1/2 (Carlini et al. 2023, arXiv:2301.13188, section 5.2, with alpha = 1/2): its
nearest training image is twice as near as its neighbourhood. Flat images are near to everything, which a plain
distance would take for memory. r is 0 where d_1 is, however many doubles the training set holds.
"""

from typing import NamedTuple

import numpy as np

from linnet.devices import processes

K = 50
THRESHOLD = 0.5


class Nearest(NamedTuple):
    """number (N,): of the nearest training image; distance (N,): to it; ratio (N,): r."""

    number: np.ndarray
    distance: np.ndarray
    ratio: np.ndarray

    @property
    def copies(self) -> np.ndarray:
        """(N,) bool."""
        return self.ratio < THRESHOLD


class Neighbours:
    """The K smallest distances of each of the samples x (N, ...) to vectors that come in blocks."""

    def __init__(self, x: np.ndarray):
        self.x = np.asarray(x, np.float64).reshape(len(x), -1)
        self.squared = np.empty((len(x), 0))
        self.number = np.empty((len(x), 0), np.int64)

    def add(self, y: np.ndarray, first: int) -> None:
        """Counts training vectors y (M, ...), whose numbers are first, first + 1, ..."""
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        squared = (self.x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * self.x @ y.T
        new = np.broadcast_to(first + np.arange(len(y)), (len(self.x), len(y)))
        self._keep_best([self.squared, np.maximum(squared, 0)], [self.number, new])

    def join(self) -> "Neighbours":
        """Counts what all processes have counted (see devices.processes), to be called in all of them."""
        found = processes.gather({"squared": self.squared.T.copy(), "number": self.number.T.copy()})
        self._keep_best([part["squared"].T for part in found], [part["number"].T for part in found])
        return self

    def _keep_best(self, squares: list[np.ndarray], numbers: list[np.ndarray]) -> None:
        """Keeps the K smallest of these distances (N, M) to vectors of these numbers (N, M)."""
        squared, number = (np.concatenate(parts, axis=1) for parts in (squares, numbers))
        if squared.shape[1] > K:
            best = np.argpartition(squared, K, axis=1)[:, :K]
            squared, number = (np.take_along_axis(a, best, 1) for a in (squared, number))
        self.squared, self.number = squared, number

    def finish(self) -> Nearest:
        """ValueError for fewer than two training vectors."""
        if self.squared.shape[1] < 2:
            raise ValueError("copies are looked for among two training images or more")
        distances = np.sqrt(self.squared)
        mean = distances.mean(axis=1)
        smallest = distances.min(axis=1)
        ratio = np.divide(smallest, mean, out=np.zeros_like(mean), where=mean > 0)
        number = np.take_along_axis(self.number, distances.argmin(axis=1)[:, None], 1)[:, 0]
        return Nearest(number, smallest, ratio)
