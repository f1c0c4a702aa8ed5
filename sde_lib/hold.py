"""Third-order Langevin dynamics (HOLD, arXiv:2404.12814) at critical damping.

    F = beta [[0, 1, 0], [-1, 0, gamma], [0, -gamma, -xi]],   G G^T = diag(0, 0, 2 xi beta),
    gamma = 2 sqrt(2),   xi = 3 sqrt(3),   beta(t) = beta_0 + beta_1 t

All eigenvalues of F / beta are -sqrt(3), and the stationary law is the standard normal of position, velocity and
acceleration. Noise enters the acceleration alone and is integrated twice on its way to the image.
"""

import math

from linnet.sde_lib.langevin import Langevin

GAMMA = 2 * math.sqrt(2)
XI = 3 * math.sqrt(3)


class HOLD(Langevin):
    """HOLD, k = 3: the state is (x, v, a) with v = a = 0 at t = 0 (hybrid score matching).

    beta_0, beta_1: rate; va_gamma: initial variance of velocity and acceleration; eps: variance added at t = 0 to all
    three components. ValueError for values out of range.
    """

    k = 3

    def __init__(self, beta_0=5.0, beta_1=0.0, va_gamma=0.04, eps=1e-6, t_min=1e-3, image_shape=None):
        if min(va_gamma, eps) <= 0:
            raise ValueError(f"sde.va_gamma={va_gamma} and sde.eps={eps} must be positive")
        F_0 = [[0.0, 1.0, 0.0], [-1.0, 0.0, GAMMA], [0.0, -GAMMA, -XI]]
        GGt_0 = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2 * XI]]
        super().__init__(F_0, GGt_0, (1.0, 1.0, 1.0), (eps, va_gamma + eps, va_gamma + eps), beta_0, beta_1, t_min)
