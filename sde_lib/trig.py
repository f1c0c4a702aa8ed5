"""The trigonometric path (arXiv:2303.08797; TrigFlow, arXiv:2410.11081) as a linear SDE.

    u_t = cos(a) x_0 + sin(a) eps,   a = pi t / 2
    F = -pi/2 tan a,   G G^T = pi tan a,   Psi(t, s) = cos a_t / cos a_s

It preserves variance. F is singular at t = 1, where nothing of x_0 is left in u: the process ends before, at T.
"""

import numpy as np

from linnet.arrays import Block, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


class Trig(LinearSDE):
    """The trigonometric path, k = 1. T: end of the process, below 1 (0.9961: noise 164 times the signal, what float32
    resolves). ValueError for another T.
    """

    label_rate = np.pi / 2

    def __init__(self, T=0.9961, t_min=1e-3, image_shape=None):
        if not t_min < T < 1:
            raise ValueError(
                f"sde.T={T} must lie between sde.t_min={t_min} and 1, without 1: there u is noise alone, and no "
                "predicted eps determines an image"
            )
        self.T = T
        self.t_min = t_min

    def _cos(self, t):
        """cos(pi t / 2), counted from its zero at t = 1, where float32 would lose digits."""
        xp, t = blocks.namespace(t)
        return xp.sin(np.pi / 2 * (1 - t))

    def _sin(self, t):
        xp, t = blocks.namespace(t)
        return xp.sin(np.pi / 2 * t)

    def F(self, t: Times) -> Block:
        return blocks.scalar(-np.pi / 2 * self._sin(t) / self._cos(t))

    def GGt(self, t: Times) -> Block:
        return blocks.scalar(np.pi * self._sin(t) / self._cos(t))

    def Psi(self, t: Times, s: Times) -> Block:
        return blocks.scalar(self._cos(t) / self._cos(s))

    def Sigma(self, t: Times) -> Block:
        return blocks.scalar(self._sin(t) ** 2)

    def R(self, t: Times) -> Block:
        return blocks.scalar(self._sin(t))
