"""Denoising score matching for every linear SDE (arXiv:2011.13456, eq. 7), in terms of eps.

    t ~ U(t_min, T), or even over the states that the network knows (models.labels), or by its effective noise:
        log sigma(t) ~ N(P_mean, P_std^2), kept within t_min and T           (EDM, arXiv:2206.00364, table 1)
    u = Psi(t, 0) lift(x) + R(t) eps      loss = |eps_net(u, t) - eps|^2
    likelihood weighting (arXiv:2101.09258): |G^T R^-T (eps_net - eps)|^2, which is g^2 |score - score_net|^2
    output weighting: |A^-1 (eps_net - eps)|^2 for eps = A f + (what u says by itself), the error of the network's own
        output f: the loss of EDM (prediction edm) and of rectified flow (prediction flow)

For CLD, lift sets v = 0 and Sigma carries the initial velocity: this is hybrid score matching (arXiv:2112.07068).
Times are low-discrepancy: one uniform number shifts an even grid over the whole batch. Everything that is drawn for
an example depends on the step and on its position in the global batch, not on the device it is computed on.
"""

from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array
from linnet.models.transfer import check_isotropic, time_of
from linnet.randomness import Part, fold
from linnet.sde_lib import blocks
from linnet.training.objectives.base import Objective


class DenoisingScoreMatching(Objective):
    """Denoising score matching at continuous times (CLD: hybrid); `eps_net` is a models.eps_net.EpsNet.

    ValueError for times or weights that the process or the network does not have.
    """

    keys = ("reduce_mean", "likelihood_weighting", "output_weighting", "P_mean", "P_std")

    def __init__(self, config, eps_net):
        training = config.training
        self.eps_net, self.sde = eps_net, eps_net.sde
        self.t_min, self.t_max = training.t_min, self.sde.T
        self.reduce_mean = training.reduce_mean
        self.likelihood_weighting = training.likelihood_weighting
        self.output_weighting = training.output_weighting
        self.P_mean, self.P_std = training.P_mean, training.P_std
        self._check()

    def _check(self):
        if (self.P_mean is None) != (self.P_std is None):
            raise ValueError("config.training.P_mean and P_std go together: set both, or neither")
        if self.P_std is not None:
            check_isotropic(self.sde)
            if self.eps_net.labels.n is not None:
                raise ValueError(
                    "config.training.P_mean and P_std are for networks that know all times: leave them out (None), or "
                    "set config.training.continuous=True"
                )
        if self.output_weighting and (self.likelihood_weighting or self.sde.k > 1):
            raise ValueError(
                "config.training.output_weighting is for processes without a velocity, and not beside "
                "likelihood_weighting"
            )

    def times(self, key: Array, position: Array, batch_size: int) -> Array:
        """Times (B,) of the examples at `position` (B,) of a global batch of `batch_size`."""
        fraction = (jax.random.uniform(key) + position / batch_size) % 1.0
        labels = self.eps_net.labels
        if labels.n is not None:
            return labels.time(jnp.floor(fraction * labels.n))
        if self.P_std is not None:
            sigma = jnp.exp(self.P_mean + self.P_std * jax.scipy.special.ndtri(fraction))
            return time_of(self.sde, sigma, self.t_min, self.sde.T)
        return self.t_min + (self.sde.T - self.t_min) * fraction

    def losses(
        self,
        params: dict[str, Any],
        x: Array,
        keys: Array,
        t: Array,
        train: bool = True,
        condition: dict[str, Any] | None = None,
    ) -> Array:
        """Loss of each example, (B,) float32: x (B, H, W, C) in model range, keys (B,), t (B,)."""
        dropout = fold(keys, Part.DROPOUT) if train else None
        u, eps = self.sde.perturb(fold(keys, Part.NOISE), self.sde.lift(x), t)
        return self.weigh(self.eps_net(params, u, t, dropout, condition) - eps, t)

    def weigh(self, gap: Array, t: Array) -> Array:
        """Weighted, reduced squared norm of gap = eps_net - eps, (B,)."""
        if self.output_weighting:
            gap = gap / self.eps_net.to_eps(jnp.ones_like, jnp.zeros_like(gap), t)
        if self.likelihood_weighting:
            # |G^T y|^2 = y^T G G^T y with y = R^-T gap
            y = blocks.apply(blocks.transpose(blocks.inverse(self.sde.R(t))), gap)
            square = y * blocks.apply(self.sde.GGt(t), y)
        else:
            square = gap**2
        square = square.reshape(len(square), -1)
        return square.mean(1) if self.reduce_mean else 0.5 * square.sum(1)
