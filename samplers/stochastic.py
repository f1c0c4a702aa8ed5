"""The lambda-SDE between two times, on the host in float64 (stochastic gDDIM, arXiv:2206.05564, section 4).

For data predicted to be D the reverse process with noise lambda is Gaussian. With

    dM/dt = lambda^2 / 2 R^-1 G G^T R^-T M,   M(s, s) = I

u_t given u_s has mean Psi(t, 0) D + R_t M R_s^-1 (u_s - Psi(s, 0) D) and covariance R_t (I - M M^T) R_t^T, which needs
no Lyapunov equation and stays positive. For k = 1, M = (rho_t / rho_s)^(lambda^2).
"""

from typing import Any

import numpy as np

from linnet.arrays import Block
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

PANELS = 6
STAGES = 8


def contraction(sde: LinearSDE, t: Any, s: Any, lambda_coef: float) -> Block:
    """M(t, s) for t <= s, broadcast over t and s: their shape + spatial + (k, k)."""
    if lambda_coef == 0:
        return np.zeros_like(sde.Psi(t, s)) + blocks.identity(sde.k)
    if sde.k == 1:
        return (sde.R(t) / (sde.Psi(t, s) * sde.R(s))) ** lambda_coef**2
    t, s = np.broadcast_arrays(t, s)
    return _collocation(sde, t, s, lambda_coef)


def _collocation(sde, t, s, lambda_coef):
    """Gauss collocation with STAGES nodes (order 2 STAGES) on PANELS panels, equal in r^(1/4), for k > 1."""
    c, a, b = _gauss(STAGES)
    k = sde.k
    edges = np.linspace(s**0.25, t**0.25, PANELS + 1, axis=-1) ** 4
    M = np.broadcast_to(np.eye(k), t.shape + (k, k))
    for p in range(PANELS):
        h = (edges[..., p + 1] - edges[..., p])[..., None, None, None]
        r = edges[..., p, None] + h[..., 0, 0] * c
        inverse = blocks.inverse(sde.R(r))
        K = 0.5 * lambda_coef**2 * blocks.matmul(blocks.matmul(inverse, sde.GGt(r)), blocks.transpose(inverse))
        K = K[..., 0, 0, :, :]  # (..., STAGES, k, k): processes with k > 1 treat all pixels alike
        coupled = h[..., None] * a[:, :, None, None] * K[..., None, :, :, :]  # (..., i, j, k, k)
        system = np.eye(STAGES * k) - coupled.swapaxes(-3, -2).reshape(*t.shape, STAGES * k, STAGES * k)
        Y = np.linalg.solve(system, np.tile(np.eye(k), (STAGES, 1))).reshape(*t.shape, STAGES, k, k)
        M = (np.eye(k) + (h * b[:, None, None] * blocks.matmul(K, Y)).sum(-3)) @ M
    return M[..., None, None, :, :]


def _gauss(stages):
    """Nodes c, matrix a and weights b of the Gauss collocation method on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(stages)
    c = (x + 1) / 2
    powers = np.arange(stages)
    a = (c[:, None] ** (powers + 1) / (powers + 1)) @ np.linalg.inv(c[:, None] ** powers)
    return c, a, w / 2


def noise(sde: LinearSDE, t: Any, s: Any, lambda_coef: float) -> Block:
    """R_t (I - M M^T)^(1/2), the factor of the noise that steps s -> t add."""
    M = contraction(sde, t, s, lambda_coef)
    return blocks.matmul(sde.R(t), blocks.root(blocks.identity(sde.k) - blocks.matmul(M, blocks.transpose(M))))


def transition(sde: LinearSDE, t: Any, s: Any) -> tuple[Block, Block]:
    """(Psi(t, s), covariance) of u_t given u_s, s <= t, in the forward process."""
    Psi = sde.Psi(t, s)
    return Psi, sde.Sigma(t) - blocks.matmul(blocks.matmul(Psi, sde.Sigma(s)), blocks.transpose(Psi))
