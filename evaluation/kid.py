"""Kernel Inception distance (Binkowski et al. 2018): unbiased squared maximum mean discrepancy,

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)          (1)
    k(x, y) = (x . y / D + 1)^3                                                                        (2)

averaged over subsets drawn without replacement. Subsets are drawn from numpy.random.RandomState(seed), for
each subset first from the first set and then from the second: the order of torch-fidelity, whose numbers
are thereby reproduced draw for draw. Everything is float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]
ROWS = 2048


class KID(NamedTuple):
    """mean and population standard deviation of (1) over subsets of `subset_size`."""

    mean: float
    std: float
    subset_size: int


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Equation (2): x (N, D), y (M, D) -> (N, M)."""
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def mmd2(x: np.ndarray, y: np.ndarray, kernel: Kernel = polynomial_kernel) -> float:
    """Equation (1) on whole sets x (N, D) and y (M, D), N, M >= 2, in row blocks of the kernel matrices."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    n, m = len(x), len(y)
    if min(n, m) < 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"MMD needs two sets (N, D) of at least 2 vectors each, got {x.shape} and {y.shape}")
    within_x = _off_diagonal_sum(x, kernel) / (n * (n - 1))
    within_y = _off_diagonal_sum(y, kernel) / (m * (m - 1))
    across = sum(kernel(x[i : i + ROWS], y).sum() for i in range(0, n, ROWS)) / (n * m)
    return float(within_x + within_y - 2.0 * across)


def _off_diagonal_sum(x: np.ndarray, kernel: Kernel) -> float:
    total = 0.0
    for start in range(0, len(x), ROWS):
        block = kernel(x[start : start + ROWS], x)
        total += block.sum() - np.trace(block, offset=start)
    return total


def kid(
    features1: np.ndarray,
    features2: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    kernel: Kernel = polynomial_kernel,
) -> KID:
    """Mean and std of (1) over random subsets. Raises ValueError when a set is smaller than a subset."""
    n, m = len(features1), len(features2)
    if subset_size > min(n, m):
        raise ValueError(f"KID subsets of {subset_size} need as many vectors in each set, got {n} and {m}")
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        chosen1 = random.choice(n, subset_size, replace=False)
        chosen2 = random.choice(m, subset_size, replace=False)
        values.append(mmd2(features1[chosen1], features2[chosen2], kernel))
    return KID(float(np.mean(values)), float(np.std(values)), subset_size)
