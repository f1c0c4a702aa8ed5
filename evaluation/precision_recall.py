"""Improved precision and recall (Kynkäänniemi et al. 2019).

The manifold of a set is the union of balls around its members, each reaching to the member's k-th nearest
neighbour in the set (itself not counted). Precision is the fraction of generated vectors inside the real
manifold, recall the fraction of real vectors inside the generated one, f_score their harmonic mean.
"""

from typing import NamedTuple

import numpy as np

NEIGHBOURS = 3
ROWS = 1024


class PrecisionRecall(NamedTuple):
    """Three numbers in [0, 1]."""

    precision: float
    recall: float
    f_score: float


def precision_recall(generated: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> PrecisionRecall:
    """generated (N, D), real (M, D), with N, M > k; float64, distances formed in row blocks."""
    generated, real = np.asarray(generated, np.float64), np.asarray(real, np.float64)
    if min(len(generated), len(real)) <= k:
        raise ValueError(f"precision and recall with k={k} need more than {k} vectors in each set")
    precision = _inside(generated, real, _radii_squared(real, k)).mean()
    recall = _inside(real, generated, _radii_squared(generated, k)).mean()
    both = precision + recall
    f_score = 2 * precision * recall / both if both else 0.0
    return PrecisionRecall(float(precision), float(recall), float(f_score))


def _distances_squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squared = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :] - 2.0 * x @ y.T
    return np.maximum(squared, 0.0)


def _radii_squared(x: np.ndarray, k: int) -> np.ndarray:
    """(N,) squared distance of each vector to its k-th neighbour; index 0 of a sorted row is itself."""
    blocks = [_distances_squared(x[i : i + ROWS], x) for i in range(0, len(x), ROWS)]
    return np.concatenate([np.partition(block, k, axis=1)[:, k] for block in blocks])


def _inside(x: np.ndarray, centres: np.ndarray, radii_squared: np.ndarray) -> np.ndarray:
    """(N,) bool: whether each x lies in the ball of some centre."""
    blocks = [_distances_squared(x[i : i + ROWS], centres) for i in range(0, len(x), ROWS)]
    return np.concatenate([(block <= radii_squared).any(axis=1) for block in blocks])
