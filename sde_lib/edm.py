"""EDM's process: time is the noise level (arXiv:2206.00364, section 2).

u_t = x_0 + t eps,    F = 0,    G G^T = 2 t,    t from sigma_min to sigma_max
"""

import numpy as np

from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


class EDM(LinearSDE):
    """EDM, k = 1: T = sigma_max, t_min = sigma_min. ValueError unless 0 < sigma_min < sigma_max."""

    grid = "rho"

    def __init__(self, sigma_min=0.002, sigma_max=80.0, image_shape=None):
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sde.sigma_min={sigma_min} must lie between 0 and sde.sigma_max={sigma_max}")
        self.t_min = sigma_min
        self.T = sigma_max

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t * 0)

    def GGt(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(2 * t)

    def Psi(self, t: Times, s: Times) -> Block:
        _, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        return blocks.scalar((t - s) * 0 + 1)

    def Sigma(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t**2)

    def R(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t)

    def prior_std(self) -> Host:
        return np.array([self.T])
