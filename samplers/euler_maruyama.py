"""Steps of the lambda-SDE du = (F u + (1 + lambda^2) / 2 G G^T R^-T eps) dt + lambda G dw in backward time.

    em     Euler-Maruyama on it
    sscs   symmetric splitting (CLD, arXiv:2112.07068, section 3.3) of the reverse SDE, lambda = 1, of a process whose
           prior N(0, S) is invariant: the part A = -F - G G^T S^-1 with all the noise is solved exactly, and what is
           left, G G^T (score + S^-1 u), takes one Euler step in the middle of it, with the score of the time at
           which the whole step starts

In backward time A has the transition S Psi(s, t)^T S^-1 over [t, s]. The two half steps of A between evaluations are
one step from middle to middle; the very first maps the prior onto itself and is left out. The score could also be that
of the middle. Deviation of samples of N(0, 0.2^2) with an exact network and the denoising step, in percent of 0.2:

    evaluations      10      20      50     100     200
    CLD, start    -31.0   -18.4    -7.7    -3.9    -1.9
         middle   -39.6   -24.5    -9.7    -4.8    -2.4
    VP,  start     12.6     3.8     0.9     0.3     0.1
         middle   -21.3   -12.1    -5.0    -2.6    -1.4
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet.arrays import Host
from linnet.samplers.base import STATIONARY
from linnet.samplers.coefficients import Coefficients
from linnet.samplers.exponential import LambdaRecursion, Recursion
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


def score_weight(sde: LinearSDE, t: Any) -> Any:
    """-R^-T: score = -R^-T eps, at host times t."""
    return -blocks.transpose(blocks.inverse(sde.R(t)))


def euler_maruyama(sde: LinearSDE, times: Host, lambda_coef: float) -> Coefficients:
    """Rows of Euler-Maruyama along decreasing `times` (N + 1,)."""
    times = np.asarray(times, np.float64)
    t = times[:-1]
    h = np.diff(times)[:, None, None, None, None]
    GGt = sde.GGt(t)
    psi = blocks.identity(sde.k) + h * sde.F(t)
    eps = -h * (1 + lambda_coef**2) / 2 * blocks.matmul(GGt, score_weight(sde, t))
    noise = lambda_coef * np.sqrt(-h) * blocks.root(GGt) if lambda_coef else None
    return Coefficients(t, psi + np.zeros_like(eps), eps[:, None], noise=noise)


class EulerMaruyama(LambdaRecursion):
    """Euler-Maruyama; lambda_coef = 0 is Euler's method on the probability flow."""

    nfe: int = 1000

    reference = "arXiv:2206.05564, eq. 7"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        return euler_maruyama(self.sde, times, self.lambda_coef)


class SSCS(Recursion):
    """Symmetric splitting of the reverse SDE."""

    nfe: int = 100

    stochastic = True
    processes = STATIONARY
    reference = "arXiv:2112.07068"

    def table(self, times: Host, past: Sequence[float] | Host = ()) -> Coefficients:
        sde = self.sde
        times = np.asarray(times, np.float64)
        t = times[:-1]
        middle = (times[1:] + t) / 2
        h = -np.diff(times)[:, None, None, None, None]
        S = np.diag(sde.prior_std() ** 2)[None, None]
        ends = np.append(middle[1:], times[-1])
        A = blocks.matmul(blocks.matmul(S, blocks.transpose(sde.Psi(middle, ends))), blocks.inverse(S))
        covariance = S - blocks.matmul(blocks.matmul(A, S), blocks.transpose(A))
        GGt = h * sde.GGt(middle)
        psi = blocks.matmul(A, blocks.identity(sde.k) + blocks.matmul(GGt, blocks.inverse(S)))
        eps = blocks.matmul(A, blocks.matmul(GGt, score_weight(sde, t)))
        return Coefficients(t, psi, eps[:, None], noise=blocks.root(covariance))
