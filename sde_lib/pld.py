"""Phase-space Langevin diffusion (PSLD, arXiv:2303.01748): noise in position and velocity.

    F = beta/2 [[-Gamma, m_inv], [-1, -nu]],   G G^T = beta diag(Gamma, nu / m_inv),   beta(t) = beta_0 + beta_1 t

at critical damping (nu - Gamma)^2 = 4 m_inv, that is nu = Gamma + 2 sqrt(m_inv); stationary law x ~ N(0, 1),
v ~ N(0, 1 / m_inv). Gamma = 0 is CLD with twice its beta. Published: Gamma = 0.01, nu = 4.01, m_inv = 4, beta = 8,
vv_gamma = 0.04; CIFAR-10 FID 2.10 (SDE, 1000 evaluations, and ODE, 246), 2.13 (ODE, 159).
"""

import math

from linnet.sde_lib.langevin import Langevin


class PLD(Langevin):
    """PSLD, k = 2: the state is (x, v) with v = 0 at t = 0 (hybrid score matching).

    gamma: friction of the position; m_inv: inverse mass; beta_0, beta_1: rate; vv_gamma: initial velocity variance
    times the mass; eps: variance added at t = 0 to both components. ValueError for values out of range.
    """

    k = 2

    def __init__(
        self, gamma=0.01, m_inv=4.0, beta_0=8.0, beta_1=0.0, vv_gamma=0.04, eps=1e-6, t_min=1e-3, image_shape=None
    ):
        if min(m_inv, vv_gamma, eps) <= 0:
            raise ValueError(f"sde.m_inv={m_inv}, sde.vv_gamma={vv_gamma} and sde.eps={eps} must be positive")
        if gamma < 0:
            raise ValueError(f"sde.gamma={gamma} must not be negative")
        nu = gamma + 2 * math.sqrt(m_inv)
        F_0 = [[-gamma / 2, m_inv / 2], [-1 / 2, -nu / 2]]
        GGt_0 = [[gamma, 0.0], [0.0, nu / m_inv]]
        start = (eps, vv_gamma / m_inv + eps)
        super().__init__(F_0, GGt_0, (1.0, 1 / m_inv), start, beta_0, beta_1, t_min)
