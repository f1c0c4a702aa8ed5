"""The sliced Wasserstein distance between two sets of points (Bonneel, Rabin, Peyre, Pfister, 2015).

    SW_2^2 = E_theta W_2^2(theta . X, theta . Y),   theta uniform on the sphere
    W_2^2 in one dimension = int_0^1 (F^-1(q) - G^-1(q))^2 dq,   F^-1 and G^-1: the sorted numbers, as steps

It has the unit of the points; a shift by c in D dimensions is at distance |c| / sqrt(D). In two dimensions the
directions are even over half a circle, so that the mean over them is a quadrature; in more they are drawn once.
"""

import numpy as np

DIRECTIONS = 256
SEED = 0


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, directions: int = DIRECTIONS) -> float:
    """SW_2 of x (n, D) and y (m, D), each point with equal weight, in float64. ValueError for other shapes, and NaN."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not (len(x) and len(y)):
        raise ValueError(f"a distance needs points (n, D) and (m, D), got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a distance needs points that are finite")
    theta = directions_of(x.shape[1], directions)
    return float(np.sqrt(squared_distances(x @ theta, y @ theta).mean()))


def directions_of(dimensions: int, number: int) -> np.ndarray:
    """Unit vectors (D, number)."""
    if dimensions == 2:
        angles = (np.arange(number) + 0.5) * np.pi / number
        return np.stack([np.cos(angles), np.sin(angles)])
    drawn = np.random.Generator(np.random.Philox(SEED)).standard_normal((dimensions, number))
    return drawn / np.linalg.norm(drawn, axis=0)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """W_2^2 in one dimension between the columns of a (n, K) and of b (m, K): (K,).

    Both quantile functions are constant between the levels i/n and j/m.
    """
    n, m = len(a), len(b)
    levels = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)  # in units of 1 / (n m), exact
    begins, widths = levels[:-1], np.diff(levels) / (n * m)
    gaps = np.sort(a, axis=0)[begins // m] - np.sort(b, axis=0)[begins // n]
    return widths @ np.square(gaps)
