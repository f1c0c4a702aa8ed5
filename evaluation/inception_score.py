"""Inception score (Salimans et al. 2016): exp of the mean KL divergence between p(y|x) and p(y),

    IS = exp( mean_x sum_y p(y|x) (log p(y|x) - log p(y)) ),   p(y) = mean_x p(y|x)                    (1)

on consecutive chunks of the samples, which are shuffled first. The shuffle is
numpy.random.RandomState(seed).permutation, the one of torch-fidelity. Everything is float64. With the
logits of another classifier the same formula scores that classifier's confidence and variety.
"""

from typing import NamedTuple

import numpy as np


class Score(NamedTuple):
    """mean and population standard deviation of (1) over chunks."""

    mean: float
    std: float


def inception_score(logits: np.ndarray, splits: int = 10, shuffle_seed: int | None = 2020) -> Score:
    """Equation (1) for logits (N, K). shuffle_seed=None keeps the order. Raises ValueError if N < splits."""
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or len(logits) < splits:
        raise ValueError(f"{splits} splits need logits of shape (N >= {splits}, K), got {logits.shape}")
    if shuffle_seed is not None:
        logits = logits[np.random.RandomState(shuffle_seed).permutation(len(logits))]
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    n = len(log_p)
    scores = [_chunk_score(log_p[i * n // splits : (i + 1) * n // splits]) for i in range(splits)]
    return Score(float(np.mean(scores)), float(np.std(scores)))


def _chunk_score(log_p: np.ndarray) -> float:
    """Equation (1) for log-probabilities (N, K)."""
    p = np.exp(log_p)
    log_marginal = np.log(np.maximum(p.mean(axis=0), np.finfo(np.float64).tiny))
    return float(np.exp((p * (log_p - log_marginal)).sum(axis=1).mean()))
