"""Variance-exploding diffusion: sigma(t) = sigma_min (sigma_max / sigma_min)^t (arXiv:2011.13456, eq. 30)."""

import numpy as np

from linnet.arrays import Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


class VE(LinearSDE):
    """VE SDE, k = 1: Psi = 1, Sigma = sigma(t)^2, so that Sigma(0) = sigma_min^2."""

    def __init__(
        self,
        sigma_min: float = 0.01,
        sigma_max: float = 50.0,
        t_min: float = 1e-5,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sde.sigma_min={sigma_min} must lie between 0 and sde.sigma_max={sigma_max}")
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.t_min = t_min
        self.log_ratio = float(np.log(sigma_max / sigma_min))

    def sigma(self, t: Times) -> Times:
        """Noise level at times t, same shape."""
        xp, t = blocks.namespace(t)
        return self.sigma_min * xp.exp(self.log_ratio * t)

    def F(self, t: Times) -> Block:
        _, t = blocks.namespace(t)
        return blocks.scalar(t * 0)

    def GGt(self, t: Times) -> Block:
        return blocks.scalar(2 * self.log_ratio * self.sigma(t) ** 2)

    def Psi(self, t: Times, s: Times) -> Block:
        _, t = blocks.namespace(t)
        _, s = blocks.namespace(s)
        return blocks.scalar((t - s) * 0 + 1)

    def Sigma(self, t: Times) -> Block:
        return blocks.scalar(self.sigma(t) ** 2)

    def R(self, t: Times) -> Block:
        return blocks.scalar(self.sigma(t))

    def prior_std(self) -> Host:
        return np.array([self.sigma_max])
