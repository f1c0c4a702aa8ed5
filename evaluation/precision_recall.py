"""Precision, recall, density and coverage of generated vectors, from balls around the members of a set.

The ball of a member reaches to its k-th nearest neighbour in the set (itself not counted). With balls B_i of the M real
vectors and C_j of the N generated ones,

    precision = share of generated vectors in some B_i        (Kynkaanniemi et al. 2019, arXiv:1904.06991, k = 3)
    recall    = share of real vectors in some C_j
    density   = 1/(k N) sum_j |{i : generated_j in B_i}|      (Naeem et al. 2020, arXiv:2002.09797, k = 5)
    coverage  = share of B_i that hold a generated vector

f_score is the harmonic mean of precision and recall. Density and coverage have no balls of generated vectors, which one
outlier can blow up; density may pass 1.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
ROWS = 1024


class PrecisionRecall(NamedTuple):
    """Numbers in [0, 1]; density >= 0."""

    precision: float
    recall: float
    f_score: float
    density: float
    coverage: float


def precision_recall(generated: np.ndarray, real: np.ndarray) -> PrecisionRecall:
    """generated (N, D), real (M, D), with N, M > DENSITY_NEIGHBOURS; float64, distances formed in row blocks."""
    generated, real = np.asarray(generated, np.float64), np.asarray(real, np.float64)
    if min(len(generated), len(real)) <= DENSITY_NEIGHBOURS:
        raise ValueError(f"precision and its kin need more than {DENSITY_NEIGHBOURS} vectors in each set")
    small, large = radii_squared(real, (NEIGHBOURS, DENSITY_NEIGHBOURS))
    (reach,) = radii_squared(generated, (NEIGHBOURS,))
    inside = np.zeros(len(generated), bool)
    held = np.zeros(len(real), np.int64)
    recalled = np.zeros(len(real), bool)
    for rows, block in distances_squared(generated, real):
        inside[rows] = (block <= small).any(axis=1)
        held += (block <= large).sum(axis=0)
        recalled |= (block <= reach[rows, None]).any(axis=0)
    precision, recall = float(inside.mean()), float(recalled.mean())
    f_score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    density = float(held.sum() / (DENSITY_NEIGHBOURS * len(generated)))
    return PrecisionRecall(precision, recall, f_score, density, float((held > 0).mean()))


def distances_squared(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows of |x_i - y_j|^2: (which rows, (rows, len(y)))."""
    of_y = (y**2).sum(axis=1)
    for first in range(0, len(x), ROWS):
        rows = slice(first, first + ROWS)
        squared = (x[rows] ** 2).sum(axis=1)[:, None] + of_y - 2.0 * x[rows] @ y.T
        yield rows, np.maximum(squared, 0.0)


def radii_squared(x: np.ndarray, neighbours: tuple[int, ...]) -> np.ndarray:
    """(len(neighbours), N) squared distance of each vector to these neighbours; place 0 of a sorted row is itself."""
    found = [np.partition(block, neighbours, axis=1)[:, neighbours] for _, block in distances_squared(x, x)]
    return np.concatenate(found).T
