"""The straight path of rectified flow and flow matching (arXiv:2209.03003, arXiv:2210.02747) as a linear SDE.

    u_t = (1 - t) x_0 + t eps,   F = -1 / (1 - t),   G G^T = 2 t / (1 - t),   Psi(t, s) = (1 - t) / (1 - s)

Its probability flow du/dt = F u + 1/2 G G^T R^-1 eps is eps - x_0, the velocity that networks of this path learn. F is
singular at t = 1, where nothing of x_0 is left in u and eps does not determine it: the process ends before, at T.
"""

import numpy as np

from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


class Flow(LinearSDE):
    """Rectified flow, k = 1. T: end of the process, below 1 (0.994: noise 164 times the signal, what float32 resolves).

    ValueError for another T.
    """

    label_rate = 1000.0

    def __init__(self, T=0.994, t_min=1e-3, image_shape=None):
        if not t_min < T < 1:
            raise ValueError(
                f"sde.T={T} must lie between sde.t_min={t_min} and 1, without 1: there u is noise alone, and no "
                "predicted eps determines an image"
            )
        self.T = T
        self.t_min = t_min

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(-1 / (1 - t))

    def GGt(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(2 * t / (1 - t))

    def Psi(self, t: Times, s: Times) -> Block:
        _, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        return blocks.scalar((1 - t) / (1 - s))

    def Sigma(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t**2)

    def R(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t)

    def prior_std(self) -> Host:
        return np.array([self.T])
