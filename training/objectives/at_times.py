"""Objectives at times t of the process itself: t ~ U(t_min, T), or even over the states that the network knows.

    u = Psi(t, 0) lift(x) + R(t) eps

or, with P_mean and P_std, by its effective noise: log sigma(t) ~ N(P_mean, P_std^2), kept within t_min and T (EDM,
arXiv:2206.00364, table 1). Times are low-discrepancy: one uniform number shifts an even grid over the whole batch.
Everything that is drawn for an example depends on the step and on its position in the global batch, not on the device
it is computed on.
"""

import jax
import jax.numpy as jnp

from linnet.arrays import Array
from linnet.models.transfer import check_isotropic, time_of
from linnet.randomness import Part, fold
from linnet.training.objectives.base import Objective, even_fractions


class AtTimes(Objective):
    """Subclasses give `losses`; `eps_net` is a models.eps_net.EpsNet.

    ValueError for times that the process or the network does not have.
    """

    config_keys: tuple[str, ...] = ("P_mean", "P_std")

    def __init__(self, config, eps_net):
        training = config.training
        self.eps_net, self.sde = eps_net, eps_net.sde
        self.t_min = training.t_min
        self.t_max = self.sde.T
        self.P_mean, self.P_std = training.P_mean, training.P_std
        if (self.P_mean is None) != (self.P_std is None):
            raise ValueError("config.training.P_mean and P_std go together: set both, or neither")
        if self.P_std is not None:
            check_isotropic(self.sde)
            if self.eps_net.labels.n is not None:
                raise ValueError(
                    "config.training.P_mean and P_std are for networks that know all times: leave them out (None), or "
                    "set config.training.continuous=True"
                )

    def times(self, key: Array, position: Array, batch_size: int) -> Array:
        """Times (B,) of the examples at `position` (B,) of a global batch of `batch_size`."""
        fraction = even_fractions(key, position, batch_size)
        labels = self.eps_net.labels
        if labels.n is not None:
            return labels.time(jnp.floor(fraction * labels.n))
        if self.P_std is not None:
            sigma = jnp.exp(self.P_mean + self.P_std * jax.scipy.special.ndtri(fraction))
            return time_of(self.sde, sigma, self.t_min, self.sde.T)
        return self.t_min + (self.sde.T - self.t_min) * fraction

    def noised(self, x: Array, keys: Array, t: Array) -> tuple[Array, Array]:
        """(u, eps) of images x (B, ...) in model range at times t (B,); keys (B,)."""
        return self.sde.perturb(fold(keys, Part.NOISE), self.sde.lift(x), t)
