"""Coefficients of exponential multistep integrators, on the host in float64.

The probability flow du/dt = F u + 1/2 G G^T R^-T eps, integrated exactly in its linear part and with eps replaced by
its Lagrange polynomial sum_j l_j(t) eps_j through the last q + 1 evaluations, gives from time s = t_i to t = t_{i+1}

    u_t = Psi(t, s) u_s + sum_j C_j eps_j                                    (DEIS, arXiv:2204.13902, eq. 14)
    C_j = int_s^t Psi(t, r) 1/2 G(r) G(r)^T R(r)^-T l_j(r) dr                                             (1)
        = R(t) l_j(t) - Psi(t, s) R(s) l_j(s) - int_s^t Psi(t, r) R(r) l_j'(r) dr                          (2)

(2) is (1) by parts, with the ODE of R; at q = 0 it is exact without quadrature (DDIM, gDDIM). The Cholesky factor L
does not follow that ODE and takes (1). Integrals are Gauss-Legendre sums on panels that are equal in r^(1/4), since
the integrands vary on the scale of r itself near t = 0.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from sde_lib import blocks

PANELS = 6


class Coefficients(NamedTuple):
    """Rows of the recursion u <- psi_i u + sum_j eps_ij eps(u_{i-j}, t_{i-j}), newest evaluation first.

    times (N,): where row i evaluates eps. psi: (N,) + spatial + (k, k). eps: (N, order + 1) + spatial + (k, k).
    """

    times: np.ndarray
    psi: np.ndarray
    eps: np.ndarray


@dataclasses.dataclass(frozen=True)
class Lagrange:
    """The Lagrange basis on nodes (..., q + 1); both methods map r (..., M) to (..., q + 1, M)."""

    nodes: np.ndarray

    def _terms(self, r):
        x = self.nodes
        return (r[..., None, None, :] - x[..., None, :, None]) / np.where(
            np.eye(x.shape[-1], dtype=bool), np.inf, x[..., :, None] - x[..., None, :]
        )[..., None]  # (..., j, m, M), factor m of l_j; 0 on m = j

    def values(self, r):
        """l_j(r)."""
        q1 = self.nodes.shape[-1]
        return np.where(np.eye(q1, dtype=bool)[..., None], 1.0, self._terms(r)).prod(-2)

    def slopes(self, r):
        """l_j'(r)."""
        q1 = self.nodes.shape[-1]
        off = ~np.eye(q1, dtype=bool)
        gaps = np.where(off, self.nodes[..., :, None] - self.nodes[..., None, :], np.inf)
        total = 0.0
        for m in range(q1):  # differentiate factor m, keep the others
            keep = off & (np.arange(q1) != m)
            factors = np.where(keep[..., None], self._terms(r), 1.0).prod(-2)
            total = total + factors / gaps[..., :, m, None]
        return total


def quadrature(s, t, nodes):
    """Nodes and weights for int_s^t, both (N, PANELS * nodes), for s, t of shape (N,)."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.linspace(s**0.25, t**0.25, PANELS + 1, axis=-1) ** 4
    half = np.diff(edges)[..., None] / 2
    r = edges[..., :-1, None] + half * (1 + x)
    return r.reshape(len(s), -1), (half * w).reshape(len(s), -1)


def _integrate(weights, values):
    """sum over M of weights (n, q + 1, M) times blocks (n, M, ...) -> (n, q + 1, ...)."""
    n, M = values.shape[:2]
    return (weights @ values.reshape(n, M, -1)).reshape(weights.shape[:2] + values.shape[2:])


def _rows(sde, s, t, known, factor, nodes):
    """C_j of n steps from s (n,) to t (n,) with evaluations at `known` (n, q + 1), newest first."""
    basis = Lagrange(known)
    r, w = quadrature(s, t, nodes)
    expand = (..., *[None] * 4)
    if factor == "L" and sde.k > 1:  # for k = 1 the roots agree
        integrand = 0.5 * blocks.matmul(
            blocks.matmul(sde.Psi(t[:, None], r), sde.GGt(r)), blocks.transpose(blocks.inverse(sde.L(r)))
        )
        return _integrate(w[:, None] * basis.values(r), integrand)
    carried = blocks.matmul(sde.Psi(t, s), sde.R(s))
    C = sde.R(t)[:, None] * basis.values(t[:, None])[..., 0][expand]
    C = C - carried[:, None] * basis.values(s[:, None])[..., 0][expand]
    if known.shape[1] > 1:
        moving = blocks.matmul(sde.Psi(t[:, None], r), sde.R(r))
        C = C - _integrate(w[:, None] * basis.slopes(r), moving)
    return C


def multistep(sde, times, order, factor="R", past=(), nodes=16):
    """Coefficients of order `order` (0..3) on decreasing `times` (N + 1,).

    Row i uses order min(order, i) unless `past` gives earlier times, newest first, whose evaluations are known.
    factor "R" or "L" says which root of Sigma the network's eps refers to. ValueError for bad orders or times.
    """
    times = np.asarray(times, np.float64)
    if order not in (0, 1, 2, 3):
        raise ValueError(f"order {order} is not available; use 0, 1, 2 or 3")
    if len(times) < 2 or not (np.diff(times) < 0).all():
        raise ValueError("times must decrease and hold at least two numbers")
    sde.factor(factor)
    N = len(times) - 1
    line = np.concatenate([np.asarray(past, np.float64)[::-1], times])
    newest = len(past) + np.arange(N)
    psi = sde.Psi(times[1:], times[:-1])
    eps = np.zeros((N, order + 1) + psi.shape[1:])
    for rows in _equal_rows(np.minimum(order, newest), psi[0].size):
        q = min(order, newest[rows[0]])
        known = line[newest[rows, None] - np.arange(q + 1)]
        eps[rows, : q + 1] = _rows(sde, times[rows], times[rows + 1], known, factor, nodes)
    return Coefficients(times[:-1], psi, eps)


def _equal_rows(orders, size):
    """Groups of row indices with equal order; one row at a time where blocks are large (memory)."""
    for q in np.unique(orders):
        rows = np.flatnonzero(orders == q)
        yield from np.array_split(rows, len(rows) if size > 16 else 1)


def denoising(sde, t):
    """The last row: one Euler step of length t of the mean of the reverse SDE at time t, u - t F u + t G G^T score."""
    F, GGt = sde.F(t), sde.GGt(t)
    psi = blocks.identity(sde.k) - t * F
    eps = -t * blocks.matmul(GGt, blocks.transpose(blocks.inverse(sde.R(t))))
    return Coefficients(np.array([t]), psi[None], eps[None, None])


def append(rows, last):
    """`rows` followed by `last`, whose evaluations reach back no further than those of `rows`."""
    width = rows.eps.shape[1] - last.eps.shape[1]
    padded = np.concatenate([last.eps, np.zeros((1, width) + last.eps.shape[2:])], axis=1)
    return Coefficients(*(np.concatenate(pair) for pair in zip(rows, last._replace(eps=padded), strict=True)))


def rotate(rows, sde, order):
    """Coefficients for eps_L turned into coefficients for a network trained with R: eps_L = (R^-1 L)^T eps_R."""
    turn = blocks.transpose(blocks.matmul(blocks.inverse(sde.R(rows.times)), sde.L(rows.times)))
    eps = rows.eps.copy()
    for j in range(order + 1):
        eps[j:, j] = blocks.matmul(eps[j:, j], turn[: len(turn) - j])
    return rows._replace(eps=eps)
