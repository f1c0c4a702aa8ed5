"""Critically-damped Langevin diffusion (arXiv:2112.07068), with gDDIM's factor R (arXiv:2206.05564).

    F = beta [[0, m_inv], [-1, -Gamma m_inv]],   G G^T = diag(0, 2 Gamma beta),   Gamma = 2 / sqrt(m_inv),
    beta(t) = beta_0 + beta_1 t

Write w = sqrt(m_inv), z = w int_s^t beta and v' = w v. In the coordinates (x, v') everything depends on z alone:

    Psi'     = exp(-z) [[1 + z, z], [-z, 1 - z]]                                                              (1)
    Sigma'   = Psi' diag(eps, vv_gamma + m_inv eps) Psi'^T + Q'(z)                                            (2)
    Q'       = [[P(2 z), 2 z^2 exp(-2 z)], [., -expm1(-2 z) + 2 z (1 - z) exp(-2 z)]]                         (3)
    P(y)     = 1 - exp(-y) (1 + y + y^2 / 2) = exp(-y) (y^3/3! + y^4/4! + ...)                                (4)
    R'       = chol(Sigma') Rot(theta),   theta(0) = 0,   dtheta/dz = -sqrt(det Sigma') / Sigma'_xx           (5)

All sums in (2)-(3) have positive terms where they are small, so float32 keeps its digits down to t = 1e-5. In (5)
theta falls like -z once Sigma has settled. What is tabulated is theta + z, which settles too, so that neither the
position in the table nor the size of what it holds costs digits in float32: one quadrature on the host in float64, on
a grid that is uniform in log(1 + z / z_0), read back from cubic Hermite pieces (its derivative is known exactly).
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


def _gamma_tail(y):
    """P(y) of (4) for y >= 0: the power series below 2, where the closed form cancels, and the closed form above."""
    xp, y = blocks.namespace(y)
    small = xp.minimum(y, 2.0)
    series = small * 0
    for n in range(23, 2, -1):
        series = series * small + 1 / math.factorial(n)
    closed = 1 - xp.exp(-y) * (1 + y + y**2 / 2)
    return xp.where(y < 2, xp.exp(-small) * small**3 * series, closed)


class CLD(LinearSDE):
    """Critically-damped Langevin diffusion, k = 2: the state is (x, v) with v = 0 at t = 0 (hybrid score matching).

    m_inv: inverse mass; beta_0, beta_1: rate; vv_gamma: initial velocity variance times the mass; eps: variance
    added at t = 0 to both components. ValueError for values that leave Sigma singular or beta negative.
    """

    k = 2

    def __init__(
        self,
        m_inv: float = 4.0,
        beta_0: float = 4.0,
        beta_1: float = 0.0,
        vv_gamma: float = 0.04,
        eps: float = 1e-6,
        t_min: float = 1e-3,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        if min(m_inv, vv_gamma, eps) <= 0:
            raise ValueError(f"sde.m_inv={m_inv}, sde.vv_gamma={vv_gamma} and sde.eps={eps} must be positive")
        if min(beta_0, beta_0 + beta_1 * self.T) < 0 or beta_0 + beta_1 <= 0:
            raise ValueError(
                f"beta(t) = {beta_0} + {beta_1} t must not be negative on [0, 1]: change sde.beta_0, beta_1"
            )
        self.m_inv, self.beta_0, self.beta_1, self.t_min = m_inv, beta_0, beta_1, t_min
        self.w = math.sqrt(m_inv)
        self.variance_0 = (eps, vv_gamma + m_inv * eps)  # of (x, v') at t = 0
        self._tabulate_theta()

    def beta(self, t: Times) -> Times:
        """beta_0 + beta_1 t, the shape of t."""
        return self.beta_0 + self.beta_1 * t

    def z(self, t: Times, s: Times) -> Times:
        """w int_s^t beta, broadcast over t and s."""
        return self.w * (t - s) * (self.beta_0 + self.beta_1 * (t + s) / 2)

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        beta = self.beta(t)
        return blocks.matrix([[beta * 0, self.m_inv * beta], [-beta, -2 * self.w * beta]])

    def GGt(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        beta = self.beta(t)
        return blocks.matrix([[beta * 0, beta * 0], [beta * 0, 4 / self.w * beta]])

    def Psi(self, t: Times, s: Times) -> Block:
        xp, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        z = self.z(t, s)
        decay = xp.exp(-z)
        return blocks.matrix([[decay * (1 + z), decay * z * self.w], [-decay * z / self.w, decay * (1 - z)]])

    def _covariance(self, z):
        """(xx, xv', v'v') of (2)."""
        xp, z = blocks.namespace(z)
        var_x, var_v = self.variance_0
        decay = xp.exp(-2 * z)
        xx = decay * ((1 + z) ** 2 * var_x + z**2 * var_v) + _gamma_tail(2 * z)
        xv = decay * z * ((1 - z) * var_v - (1 + z) * var_x + 2 * z)
        vv = decay * (z**2 * var_x + (1 - z) ** 2 * var_v + 2 * z * (1 - z)) - xp.expm1(-2 * z)
        return xx, xv, vv

    def Sigma(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        xx, xv, vv = self._covariance(self.z(t, t * 0))
        return blocks.matrix([[xx, xv / self.w], [xv / self.w, vv / self.m_inv]])

    def R(self, t: Times) -> Block:
        xp, t = blocks.namespace(t)
        theta = self.theta(self.z(t, t * 0))
        cos, sin = xp.cos(theta), xp.sin(theta)
        return blocks.matmul(self.L(t), blocks.matrix([[cos, -sin], [sin, cos]]))

    def prior_std(self) -> Host:
        return np.array([1.0, 1 / self.w])

    def theta(self, z: Any) -> Block:
        """The angle of (5) at z >= 0."""
        xp, z = blocks.namespace(z)
        position = xp.log1p(z / self._z_0) / self._step
        last = self._theta.shape[1] - 1
        index = xp.clip(xp.floor(position), 0, last).astype(int if xp is np else jnp.int32)
        c = xp.asarray(self._theta, z.dtype)[:, index]
        d = position - index
        return c[0] + d * (c[1] + d * (c[2] + d * c[3])) - z

    def _tabulate_theta(self, pieces=4096, nodes=8):
        """Cubic Hermite pieces of theta + z over [0, z(T)], coefficients (4, pieces) in ascending powers."""
        self._z_0 = 0.1 * math.sqrt(self.variance_0[0] / self.variance_0[1])
        y, self._step = np.linspace(0, math.log1p(self.z(self.T, 0.0) / self._z_0), pieces + 1, retstep=True)

        def slope(y):  # d (theta + z) / dy
            z = self._z_0 * np.expm1(y)
            xx, xv, vv = self._covariance(z)
            return (1 - np.sqrt(xx * vv - xv**2) / xx) * (z + self._z_0)

        x, weight = np.polynomial.legendre.leggauss(nodes)
        inner = slope(y[:-1, None] + self._step * (x + 1) / 2) @ weight * self._step / 2
        value = np.concatenate([[0.0], np.cumsum(inner)])
        d = slope(y) * self._step
        rise = np.diff(value)
        self._theta = np.stack([value[:-1], d[:-1], 3 * rise - 2 * d[:-1] - d[1:], d[:-1] + d[1:] - 2 * rise])
