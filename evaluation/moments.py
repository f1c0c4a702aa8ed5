"""Streaming mean and covariance of feature vectors in float64.

Batches are combined by the pairwise update of Chan, Golub and LeVeque (1979): with the scatter matrix
S = sum (x - mean)(x - mean)^T of each part and d = mean_b - mean_a,

    n = n_a + n_b     mean = mean_a + d n_b / n     S = S_a + S_b + d d^T n_a n_b / n        (1)

so no large sums of squares are subtracted from one another, and the order of batches does not matter
beyond rounding. The covariance has divisor n - 1, as in the reference implementation of FID (Heusel 2017).
"""

from typing import NamedTuple

import numpy as np

from linnet.devices import processes


class Gaussian(NamedTuple):
    """n: number of vectors; mu: (D,) float64; sigma: (D, D) float64 with divisor n - 1."""

    n: int
    mu: np.ndarray
    sigma: np.ndarray


class Moments:
    """Accumulates n, mean and scatter of (N, D) batches. Start one per process and `merge` them."""

    def __init__(self) -> None:
        self.n = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def update(self, features: np.ndarray) -> None:
        """Adds a batch of features (N, D), any real dtype. Raises ValueError on non-finite values."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2:
            raise ValueError(f"features must have shape (N, D), got {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError("features contain NaN or infinity: check the images and the extractor's weights")
        if len(features) == 0:
            return
        mean = features.mean(axis=0)
        centred = features - mean
        self._combine(len(features), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Adds what `other` has accumulated; `other` is left as it is."""
        if other.n:
            self._combine(other.n, other._mean, other._scatter)

    def of_all(self) -> "Moments":
        """What all processes have accumulated (see devices.processes), to be called in all of them."""
        mine = {"mean": self._mean, "scatter": self._scatter, "n": np.full(len(self._mean), self.n)}
        total = Moments()
        for part in processes.gather(mine if self.n else {}):
            if part:
                total._combine(int(part["n"][0]), part["mean"], part["scatter"])
        return total

    def _combine(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Equation (1), in place."""
        if self.n == 0:
            self.n = n
            self._mean = mean.copy()
            self._scatter = scatter.copy()
            return
        if mean.shape != self._mean.shape:
            raise ValueError(f"features have {len(mean)} dimensions, earlier batches had {len(self._mean)}")
        total = self.n + n
        shift = mean - self._mean
        self._mean += shift * (n / total)
        self._scatter += scatter
        self._scatter += np.outer(shift, shift) * (self.n * n / total)
        self.n = total

    def finalize(self) -> Gaussian:
        """The Gaussian of everything seen. Raises ValueError below two vectors."""
        if self.n < 2:
            raise ValueError(f"a covariance needs at least 2 feature vectors, got {self.n}")
        sigma = self._scatter / (self.n - 1)
        return Gaussian(self.n, self._mean.copy(), 0.5 * (sigma + sigma.T))
