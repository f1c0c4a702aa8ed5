"""Critically-damped Langevin processes of any order k: constant coefficients in the clock z(t, s) = int_s^t beta.

    du = F_0 u dz + G_0 dw_z,   F_0 = N - lam I with N^k = 0 (all eigenvalues alike: critical damping)

    Psi(z)   = exp(-lam z) sum_j N^j z^j / j!                                                                 (1)
    Sigma(z) = Psi(z) Sigma_0 Psi(z)^T + Q(z)                                                                 (2)
    Q(z)     = int_0^z Psi G_0 G_0^T Psi^T = sum_m C_m m! / (2 lam)^(m+1) P(m + 1, 2 lam z)                   (3)
               C_m = sum_{i+j=m} N^i G_0 G_0^T N^jT / (i! j!)
    P(n, y)  = 1 - exp(-y) sum_{j<n} y^j / j! = exp(-y) sum_{j>=n} y^j / j!                                   (4)
    R(z)     = L(z) exp(z Omega) W(z),   L = chol(Sigma)                                                      (5)

(5) is gDDIM's factor (arXiv:2206.05564, eq. 17): L^-1 R is orthogonal and follows d(L^-1 R)/dz = A L^-1 R with A = U -
U^T, U the part of L^-1 (F_0 + 1/2 G_0 G_0^T Sigma^-1) L above the diagonal. A tends to Omega as the process reaches its
stationary law; W is what is left. W is tabulated on the host, in float64, by sixth-order Magnus steps (Blanes, Casas,
Ros 1999) that are uniform in log(1 + z / z_0), z_0 a tenth of where the noise of x takes over from Sigma_0, and read
back from cubic Hermite pieces. The large angles of exp(z Omega) are not in the table: float32 keeps its digits.

Every entry of (3) is a sum whose first term dominates for small z, so that nothing cancels near t = 0.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

PIECES = 4096
SERIES = 34  # terms of (4) that matter below y = n, for the n in use


def gamma_tail(n: int, y: Times) -> Any:
    """P(n, y) of (4) for y >= 0: the power series below n, where the closed form cancels, and the closed form above."""
    xp, y = blocks.namespace(y)
    small = xp.minimum(y, float(n))
    series = small * 0
    for j in range(n + SERIES, n - 1, -1):
        series = series * small + 1 / math.factorial(j)
    closed = 1 - xp.exp(-y) * sum(y**j / math.factorial(j) for j in range(n))
    return xp.where(y < n, xp.exp(-small) * small**n * series, closed)


class Langevin(LinearSDE):
    """The process of F_0, G_0 G_0^T and Sigma_0 (k, k) under beta(t) = beta_0 + beta_1 t; `variances` (k,) are those of
    the stationary law, Sigma_0 = diag(`start`). ValueError for a beta that is negative or a start that is not positive.
    """

    grid = "power"

    def __init__(self, F_0, GGt_0, variances, start, beta_0, beta_1, t_min):
        if min(beta_0, beta_0 + beta_1 * self.T) < 0 or beta_0 + beta_1 <= 0:
            raise ValueError(
                f"beta(t) = {beta_0} + {beta_1} t must not be negative on [0, 1]: change sde.beta_0, beta_1"
            )
        if min(start) <= 0:
            raise ValueError(f"the variances {tuple(start)} of the state at t = 0 must be positive")
        self.beta_0 = beta_0
        self.beta_1 = beta_1
        self.t_min = t_min
        self.F_0 = np.asarray(F_0, np.float64)
        self.GGt_0 = np.asarray(GGt_0, np.float64)
        self.variances = np.asarray(variances, np.float64)
        self.Sigma_0 = np.diag(np.asarray(start, np.float64))
        self.lam = -np.trace(self.F_0) / self.k
        N = self.F_0 + self.lam * np.eye(self.k)
        self._powers = [np.linalg.matrix_power(N, j) / math.factorial(j) for j in range(self.k)]
        self._noise = self._noise_terms()
        self._tabulate()

    def _noise_terms(self):
        """C_m m! / (2 lam)^(m + 1) of (3), (2k - 1, k, k)."""
        terms = np.zeros((2 * self.k - 1, self.k, self.k))
        for i, left in enumerate(self._powers):
            for j, right in enumerate(self._powers):
                m = i + j
                terms[m] += left @ self.GGt_0 @ right.T * math.factorial(m) / (2 * self.lam) ** (m + 1)
        return terms

    def beta(self, t: Times) -> Any:
        """beta_0 + beta_1 t, the shape of t."""
        return self.beta_0 + self.beta_1 * t

    def z(self, t: Times, s: Times) -> Any:
        """The clock int_s^t beta, broadcast over t and s."""
        return (t - s) * (self.beta_0 + self.beta_1 * (t + s) / 2)

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(self.beta(t)) * blocks.constant(self.F_0, t)

    def GGt(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(self.beta(t)) * blocks.constant(self.GGt_0, t)

    def Psi(self, t: Times, s: Times) -> Block:
        _, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        return self._transition(self.z(t, s))

    def _transition(self, z):
        """(1) at z of any sign."""
        xp, z = blocks.namespace(z)
        total = sum(blocks.scalar(z**j) * blocks.constant(power, z) for j, power in enumerate(self._powers))
        return blocks.scalar(xp.exp(-self.lam * z)) * total

    def _covariance(self, z):
        """(2) at z >= 0."""
        Psi = self._transition(z)
        carried = blocks.matmul(blocks.matmul(Psi, blocks.constant(self.Sigma_0, Psi)), blocks.transpose(Psi))
        noise = (
            blocks.scalar(gamma_tail(m + 1, 2 * self.lam * z)) * blocks.constant(term, Psi)
            for m, term in enumerate(self._noise)
        )
        return carried + sum(noise)

    def Sigma(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return self._covariance(self.z(t, t * 0))

    def R(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.matmul(self.L(t), self.rotation(self.z(t, t * 0)))

    def prior_std(self) -> Host:
        return np.sqrt(self.variances)

    def rotation(self, z: Times) -> Block:
        """exp(z Omega) W(z) of (5), a block."""
        return blocks.matmul(self._limit(z), self._rest(z))

    def _limit(self, z):
        """exp(z Omega), from the eigenvectors of Omega."""
        xp, z = blocks.namespace(z)
        return sum(
            blocks.scalar(xp.cos(frequency * z)) * blocks.constant(projector.real, z)
            - blocks.scalar(xp.sin(frequency * z)) * blocks.constant(projector.imag, z)
            for frequency, projector in self._modes
        )

    def _rest(self, z):
        """W(z) from its table."""
        xp, z = blocks.namespace(z)
        position = xp.log1p(z / self._z_0) / self._step
        index = xp.clip(xp.floor(position), 0, PIECES - 1).astype(int if xp is np else jnp.int32)
        c = xp.asarray(self._pieces, z.dtype)[:, index]
        d = blocks.scalar(position - index)
        c = c[..., None, None, :, :]
        W = c[0] + d * (c[1] + d * (c[2] + d * c[3]))
        return 1.5 * W - 0.5 * blocks.matmul(W, blocks.matmul(blocks.transpose(W), W))  # orthogonal to rounding

    def _turning(self, z):
        """A(z) of (5) at host z (...,): (..., k, k), antisymmetric."""
        Sigma = self._covariance(z)
        L = blocks.cholesky(Sigma)
        drift = self.F_0 + 0.5 * blocks.matmul(blocks.constant(self.GGt_0, Sigma), blocks.inverse(Sigma))
        K = blocks.matmul(blocks.matmul(blocks.inverse(L), drift), L)[..., 0, 0, :, :]
        U = np.triu(K, 1)
        return U - blocks.transpose(U)

    def _tabulate(self):
        """Hermite pieces of W over [0, z(T)], coefficients (4, PIECES, k, k) in ascending powers; modes of Omega."""
        std = np.sqrt(self.variances)
        Omega = (self.F_0 + 0.5 * self.GGt_0 / self.variances) * std / std[:, None]
        values, vectors = np.linalg.eig(Omega)
        self._modes = [
            (value.imag, np.outer(vector, vector.conj())) for value, vector in zip(values, vectors.T, strict=True)
        ]
        self._z_0 = 0.1 * math.sqrt(self.Sigma_0[0, 0] / self.Sigma_0[1, 1]) / abs(self.F_0[0, 1])
        y, self._step = np.linspace(0, math.log1p(self.z(self.T, 0.0) / self._z_0), PIECES + 1, retstep=True)
        z = self._z_0 * np.expm1(y)
        turned = self._magnus(y)
        W = blocks.transpose(self._limit(z))[:, 0, 0] @ turned
        rate = (self._turning(z) - Omega) * (z + self._z_0)[:, None, None]
        slope = blocks.transpose(self._limit(z))[:, 0, 0] @ rate @ turned * self._step
        rise = np.diff(W, axis=0)
        begin, end = slope[:-1], slope[1:]
        self._pieces = np.stack([W[:-1], begin, 3 * rise - 2 * begin - end, begin + end - 2 * rise])

    def _magnus(self, y):
        """L^-1 R at the nodes y (n + 1,), (n + 1, k, k): products of one exponential for each piece."""
        node = math.sqrt(15) / 10

        def A(fraction):
            z = self._z_0 * np.expm1(y[:-1] + fraction * self._step)
            return self._turning(z) * (z + self._z_0)[:, None, None] * self._step

        def bracket(a, b):
            return a @ b - b @ a

        first = A(0.5 - node)
        middle = A(0.5)
        last = A(0.5 + node)
        a_1 = middle
        a_2 = math.sqrt(15) / 3 * (last - first)
        a_3 = 10 / 3 * (last - 2 * middle + first)
        c_1 = bracket(a_1, a_2)
        c_2 = -bracket(a_1, 2 * a_3 + c_1) / 60
        exponent = a_1 + a_3 / 12 + bracket(-20 * a_1 - a_3 + c_1, a_2 + c_2) / 240
        angles, vectors = np.linalg.eigh(1j * exponent)  # Hermitian, as the exponent is antisymmetric
        steps = (vectors * np.exp(-1j * angles)[:, None]) @ vectors.conj().swapaxes(-1, -2)
        turned = [np.eye(self.k)]
        for step in steps.real:
            turned.append(step @ turned[-1])
        return np.stack(turned)
