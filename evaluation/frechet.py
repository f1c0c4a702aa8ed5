"""Fréchet (Wasserstein-2) distance between Gaussians, squared, as FID defines it (Heusel et al. 2017):

    d^2 = |mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)                           (1)

With factors S_i = A_i A_i^T, the last trace is the sum of singular values of A_1^T A_2: their squares are
the eigenvalues of the symmetric S_1^(1/2) S_2 S_1^(1/2). No square root of a nonsymmetric matrix is taken,
so singular covariances (fewer images than feature dimensions) need no offset on the diagonal, and
directions without variance only make the factors narrower.
"""

import numpy as np


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """Equation (1) in float64. mu: (D,), sigma: (D, D) symmetric positive semi-definite.

    Raises ValueError on shapes that do not fit together and on non-finite entries. Cost O(D^3): a few
    seconds for D = 2048 on two CPU cores.
    """
    mu1, sigma1 = _checked(mu1, sigma1, "first")
    mu2, sigma2 = _checked(mu2, sigma2, "second")
    if mu1.shape != mu2.shape:
        raise ValueError(
            f"the feature dimensions differ: {len(mu1)} and {len(mu2)}; use statistics of the same extractor"
        )
    cross = np.linalg.svd(_factor(sigma1).T @ _factor(sigma2), compute_uv=False)
    difference = mu1 - mu2
    distance = difference @ difference + np.trace(sigma1) + np.trace(sigma2) - 2.0 * cross.sum()
    return float(max(distance, 0.0))


def _checked(mu: np.ndarray, sigma: np.ndarray, which: str) -> tuple[np.ndarray, np.ndarray]:
    mu, sigma = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise ValueError(f"{which} Gaussian: mu {mu.shape} and sigma {sigma.shape} must be (D,) and (D, D)")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError(f"{which} Gaussian: mu or sigma contains NaN or infinity")
    return mu, sigma


def _factor(sigma: np.ndarray) -> np.ndarray:
    """A (D, rank) with A A^T = sigma; eigenvalues at the level of rounding count as zero."""
    values, vectors = np.linalg.eigh(0.5 * (sigma + sigma.T))
    kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])
