"""Coefficients of exponential multistep integrators, on the host in float64.

Two forms of the same flow du/dt = F u + 1/2 G G^T R^-T eps are integrated, exactly in their linear part:

    eps     u_t = Psi(t, s) u_s + int Psi(t, r) 1/2 G G^T R^-T eps_r dr          (DEIS, arXiv:2204.13902, eq. 14)
    data    u_t = Phi(t, s) u_s - int Phi(t, r) 1/2 G G^T Sigma^-1 Psi(r, 0) D_r dr, D = Psi(0, r)(u - R eps) the
            predicted data and Phi(t, s) = R(t) R(s)^-1                         (DPM-Solver++, arXiv:2211.01095)

Each has a flow H and a source S with which the integrand is d/dr [H(t, r) S(r)]: H = Psi, S = R for eps and H = Phi,
S = Psi(., 0) for data. With eps or D replaced by the Lagrange polynomial sum_j l_j y_j in a variable x(r) (t, rho or
log rho) through q + 1 evaluations, by parts,

    u_t = H(t, s) u_s + sum_j C_j y_j,     C_j = S(t) l_j(t) - H(t, s) S(s) l_j(s) - int_s^t H(t, r) S(r) l_j'(r) dr

At q = 0 this is exact without quadrature (DDIM, gDDIM). In the lambda-SDE, whose reverse drift has (1 + lambda^2) / 2
in place of 1/2, the data form keeps its source and Phi becomes R(t) M(t, s) R(s)^-1 (see `stochastic`). The Cholesky
factor L does not follow the ODE of R and takes the first integral as it stands. Integrals are Gauss-Legendre sums on
panels that are equal in r^(1/4), since the integrands vary on the scale of r itself near t = 0.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from linnet.arrays import Block, Host
from linnet.samplers import grids, stochastic
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

PANELS = 6


class Coefficients(NamedTuple):
    """Rows of the recursion u <- psi_i u + sum_j eps_ij y_{i-j} + noise_i z, newest evaluation y first.

    times (N,): where row i evaluates eps. psi: (N,) + spatial + (k, k). eps: (N, order + 1) + spatial + (k, k).
    from_eps: None when the y that rows look back at are eps; else (A, B), blocks like psi, with y = A u + B eps.
    noise: None, or blocks like psi that multiply a standard normal z.
    """

    times: Host
    psi: Any
    eps: Any
    from_eps: Any = None
    noise: Any = None


@dataclasses.dataclass(frozen=True)
class Lagrange:
    """The Lagrange basis on nodes (..., q + 1); both methods map r (..., M) to (..., q + 1, M)."""

    nodes: np.ndarray

    def _terms(self, r):
        x = self.nodes
        return (r[..., None, None, :] - x[..., None, :, None]) / np.where(
            np.eye(x.shape[-1], dtype=bool), np.inf, x[..., :, None] - x[..., None, :]
        )[..., None]  # (..., j, m, M), factor m of l_j; 0 on m = j

    def values(self, r: Host) -> Host:
        """l_j(r)."""
        q1 = self.nodes.shape[-1]
        return np.where(np.eye(q1, dtype=bool)[..., None], 1.0, self._terms(r)).prod(-2)

    def slopes(self, r: Host) -> Host:
        """l_j'(r)."""
        q1 = self.nodes.shape[-1]
        off = ~np.eye(q1, dtype=bool)
        gaps = np.where(off, self.nodes[..., :, None] - self.nodes[..., None, :], np.inf)
        total = np.zeros(1)
        for m in range(q1):  # differentiate factor m, keep the others
            keep = off & (np.arange(q1) != m)
            factors = np.where(keep[..., None], self._terms(r), 1.0).prod(-2)
            total = total + factors / gaps[..., :, m, None]
        return total


VARIABLES = {  # name -> (x(t), dx/dt), of the process and host times
    "t": (lambda sde, t: t, lambda sde, t: np.ones_like(t)),
    "log_rho": (grids.log_rho, grids.log_rho_slope),
    "rho": (
        lambda sde, t: np.exp(grids.log_rho(sde, t)),
        lambda sde, t: np.exp(grids.log_rho(sde, t)) * grids.log_rho_slope(sde, t),
    ),
}


@dataclasses.dataclass(frozen=True)
class Form:
    """What is interpolated: eps or data predictions, in which variable; the root of Sigma; lambda (data only)."""

    prediction: str = "eps"
    variable: str = "t"
    factor: str = "R"
    lambda_coef: float = 0.0

    def flow(self, sde: LinearSDE, t: Any, s: Any) -> Block:
        """H(t, s) of y's form at host times t, s (N,): what a step makes of the state (module docstring)."""
        if self.prediction == "eps":
            return sde.Psi(t, s)
        moved = blocks.matmul(stochastic.contraction(sde, t, s, self.lambda_coef), blocks.inverse(sde.R(s)))
        return blocks.matmul(sde.R(t), moved)

    def source(self, sde: LinearSDE, t: Any) -> Block:
        """S(t) at host times t (N,): the integral of the form from s to t is S(t) - H(t, s) S(s) for a constant y."""
        return sde.R(t) if self.prediction == "eps" else sde.Psi(t, 0.0)

    def from_eps(self, sde: LinearSDE, t: Any) -> tuple[Block, Block] | None:
        """(A, B) with y = A u + B eps at host times t (N,), blocks (N, ..., k, k); None where y is eps."""
        if self.prediction == "eps":
            return None
        back = sde.Psi(np.zeros_like(t), t)
        return back, -blocks.matmul(back, sde.R(t))


def quadrature(s: Host, t: Host, nodes: int) -> tuple[Host, Host]:
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


def weights(sde: LinearSDE, s: Host, t: Host, known: Host, form: Form, nodes: int = 16) -> Host:
    """C_j of n steps from s (n,) to t (n,) with evaluations at `known` (n, q + 1), newest first.

    (n, q + 1) + spatial + (k, k), one step at a time where blocks are large (memory).
    """
    parts = len(s) if np.size(sde.Psi(t[0], s[0])) > 16 else 1
    rows = np.array_split(np.arange(len(s)), parts)
    return np.concatenate([_weights(sde, s[i], t[i], known[i], form, nodes) for i in rows])


def _weights(sde, s, t, known, form, nodes):
    x, slope = VARIABLES[form.variable]
    basis = Lagrange(x(sde, known))
    r, w = quadrature(s, t, nodes)
    expand = (..., *[None] * 4)
    if form.factor == "L" and sde.k > 1:  # for k = 1 the roots agree
        integrand = 0.5 * blocks.matmul(
            blocks.matmul(sde.Psi(t[:, None], r), sde.GGt(r)), blocks.transpose(blocks.inverse(sde.L(r)))
        )
        return _integrate(w[:, None] * basis.values(x(sde, r)), integrand)
    carried = blocks.matmul(form.flow(sde, t, s), form.source(sde, s))
    C = form.source(sde, t)[:, None] * basis.values(x(sde, t[:, None]))[..., 0][expand]
    C = C - carried[:, None] * basis.values(x(sde, s[:, None]))[..., 0][expand]
    if known.shape[1] > 1:
        moving = blocks.matmul(form.flow(sde, t[:, None], r), form.source(sde, r))
        C = C - _integrate((w * slope(sde, r))[:, None] * basis.slopes(x(sde, r)), moving)
    return C


def multistep(
    sde: LinearSDE,
    times: Host,
    order: int,
    factor: str = "R",
    past: Sequence[float] | Host = (),
    nodes: int = 16,
    prediction: str = "eps",
    variable: str = "t",
    lambda_coef: float = 0.0,
    implicit: bool = False,
    lower_order_final: bool = False,
) -> Coefficients:
    """Coefficients of order `order` on decreasing `times` (N + 1,).

    Row i uses order min(order, i) unless `past` gives earlier times, newest first, whose evaluations are known.
    factor "R" or "L" says which root of Sigma the network's eps refers to; prediction, variable and lambda_coef are
    those of the module's docstring. implicit (Adams-Moulton): evaluations start at the end of the step, row i has
    order min(order, i + 1), and `eps` weighs y_{i+1-j}. lower_order_final: orders fall by one a row to 0 in the last (1
    where implicit). ValueError for bad orders or times.
    """
    times = np.asarray(times, np.float64)
    if order not in range(5 if implicit else 4):
        raise ValueError(f"order {order} (config.sampling.deis_order) is not available; use 0, 1, 2 or 3")
    if len(times) < 2 or not (np.diff(times) < 0).all():
        raise ValueError("times must decrease and hold at least two numbers")
    sde.factor(factor)
    form = Form(prediction, variable, factor, lambda_coef)
    N = len(times) - 1
    line = np.concatenate([np.asarray(past, np.float64)[::-1], times])
    newest = len(past) + np.arange(N) + implicit
    psi = form.flow(sde, times[1:], times[:-1])
    eps = np.zeros((N, order + 1) + psi.shape[1:])
    orders = np.minimum(order, newest)
    if lower_order_final:
        orders = np.minimum(orders, np.arange(N)[::-1] + implicit)
    for q in np.unique(orders):
        rows = np.flatnonzero(orders == q)
        known = line[newest[rows, None] - np.arange(q + 1)]
        eps[rows, : q + 1] = weights(sde, times[rows], times[rows + 1], known, form, nodes)
    noise = stochastic.noise(sde, times[1:], times[:-1], lambda_coef) if lambda_coef else None
    return Coefficients(times[:-1], psi, eps, form.from_eps(sde, times[:-1]), noise)


def denoising(sde: LinearSDE, t: float) -> Coefficients:
    """The last row, at time t: u without the noise that is left in it.

    For k = 1 it is E[u_0 | u_t] = Psi(0, t) (u - R eps) (Tweedie's formula), which also leaves none of the noise that a
    process keeps at t = 0 (VE, blur). With k > 1 it is one Euler step of length t of the mean of the reverse SDE, as in
    gDDIM: u - t F u + t G G^T score.
    """
    if sde.k == 1:
        psi = sde.Psi(0.0, t)
        eps = -blocks.matmul(psi, sde.R(t))
    else:
        psi = blocks.identity(sde.k) - t * sde.F(t)
        eps = -t * blocks.matmul(sde.GGt(t), blocks.transpose(blocks.inverse(sde.R(t))))
    return Coefficients(np.array([t]), psi[None], eps[None, None])


def append(rows: Coefficients, last: Coefficients) -> Coefficients:
    """`rows` followed by `last`, a row without noise that looks at its own eps only."""
    eps = np.zeros((1,) + rows.eps.shape[1:])
    eps[:, 0] = last.eps[:, 0]
    zero = np.zeros_like(rows.psi[:1])
    from_eps = None if rows.from_eps is None else (zero, zero + blocks.identity(zero.shape[-1]))
    last = Coefficients(last.times, last.psi, eps, from_eps, None if rows.noise is None else zero)
    return join([rows, last])


def corrected(rows: Coefficients, corrections: Any) -> Coefficients:
    """`rows` with corrections[i, j] W_i added to eps_ij, W_i = sum_j eps_ij: what row i adds for a constant y.

    corrections: (N, history, k, k), in the units of W_i on every element; a history beyond that of the rows widens
    them. None leaves rows as they are. ValueError for another shape.
    """
    if corrections is None:
        return rows
    corrections = np.asarray(corrections, np.float64)
    N = len(rows.times)
    k = rows.psi.shape[-1]
    if corrections.ndim != 4 or corrections.shape[::2] != (N, k) or corrections.shape[3] != k:
        raise ValueError(f"corrections of shape {corrections.shape} do not fit a table of {N} rows with k = {k}")
    history = max(rows.eps.shape[1], corrections.shape[1])
    eps = np.zeros((N, history) + rows.eps.shape[2:])
    eps[:, : rows.eps.shape[1]] = rows.eps
    added = blocks.matmul(corrections[:, :, None, None], rows.eps.sum(1)[:, None])
    eps[:, : corrections.shape[1]] += added
    for i in range(min(history - 1, N)):
        eps[i, i + 1 :] = 0  # nothing is known before the first row
    return rows._replace(eps=eps)


def join(parts: Sequence[Coefficients]) -> Coefficients:
    """The rows of all parts, one after the other."""
    first = parts[0]
    from_eps = first.from_eps and tuple(
        np.concatenate(pair) for pair in zip(*(rows.from_eps for rows in parts), strict=True)
    )
    noise = None if first.noise is None else np.concatenate([rows.noise for rows in parts])
    times, psi, eps = (np.concatenate([rows[field] for rows in parts]) for field in range(3))
    return Coefficients(times, psi, eps, from_eps, noise)


def rotate(rows: Coefficients, sde: LinearSDE, past: Sequence[float] | Host = ()) -> Coefficients:
    """Coefficients for eps_L turned into coefficients for a network trained with R: eps_L = (R^-1 L)^T eps_R."""
    line = np.concatenate([np.asarray(past, np.float64)[::-1], rows.times])
    turn = blocks.transpose(blocks.matmul(blocks.inverse(sde.R(line)), sde.L(line)))
    eps = rows.eps.copy()
    for i in range(len(eps)):
        newest = len(past) + i
        for j in range(min(eps.shape[1], newest + 1)):
            eps[i, j] = blocks.matmul(eps[i, j], turn[newest - j])
    return rows._replace(eps=eps)
