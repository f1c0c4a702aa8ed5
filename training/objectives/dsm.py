"""Denoising score matching for every linear SDE (arXiv:2011.13456, eq. 7), in terms of eps.

    t ~ U(t_min, T), or even over the states that the network knows (models.labels)
    u = Psi(t, 0) lift(x) + R(t) eps      loss = |eps_net(u, t) - eps|^2
    likelihood weighting (arXiv:2101.09258): |G^T R^-T (eps_net - eps)|^2, which is g^2 |score - score_net|^2

For CLD, lift sets v = 0 and Sigma carries the initial velocity: this is hybrid score matching (arXiv:2112.07068).
Times are low-discrepancy: one uniform number shifts an even grid over the whole batch. Everything that is drawn for
an example depends on the step and on its position in the global batch, not on the device it is computed on.
"""

import jax
import jax.numpy as jnp

from linnet.randomness import Part, fold
from linnet.sde_lib import blocks
from linnet.training.objectives.base import Objective


class DenoisingScoreMatching(Objective):
    """losses(params, x, keys, t) for config.training; `eps_net` is a models.eps_net.EpsNet."""

    def __init__(self, config, eps_net):
        self.eps_net, self.sde = eps_net, eps_net.sde
        self.t_min, self.t_max = config.training.t_min, self.sde.T
        self.reduce_mean = config.training.reduce_mean
        self.likelihood_weighting = config.training.likelihood_weighting

    def times(self, key, position, batch_size):
        """Times (B,) of the examples at `position` (B,) of a global batch of `batch_size`."""
        fraction = (jax.random.uniform(key) + position / batch_size) % 1.0
        labels = self.eps_net.labels
        if labels.n is not None:
            return labels.time(jnp.floor(fraction * labels.n))
        return self.t_min + (self.sde.T - self.t_min) * fraction

    def losses(self, params, x, keys, t, train=True, condition=None):
        """Loss of each example, (B,) float32: x (B, H, W, C) in model range, keys (B,), t (B,)."""
        dropout = fold(keys, Part.DROPOUT) if train else None
        u, eps = self.sde.perturb(fold(keys, Part.NOISE), self.sde.lift(x), t)
        return self.weigh(self.eps_net(params, u, t, dropout, condition) - eps, t)

    def weigh(self, gap, t):
        """Weighted, reduced squared norm of gap = eps_net - eps, (B,)."""
        if self.likelihood_weighting:
            # |G^T y|^2 = y^T G G^T y with y = R^-T gap
            y = blocks.apply(blocks.transpose(blocks.inverse(self.sde.R(t))), gap)
            square = y * blocks.apply(self.sde.GGt(t), y)
        else:
            square = gap**2
        square = square.reshape(len(square), -1)
        return square.mean(1) if self.reduce_mean else 0.5 * square.sum(1)
