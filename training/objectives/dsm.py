"""Denoising score matching for every linear SDE (arXiv:2011.13456, eq. 7), in terms of eps.

    u = Psi(t, 0) lift(x) + R(t) eps      loss = |eps_net(u, t) - eps|^2      (times: see at_times)
    likelihood weighting (arXiv:2101.09258): |G^T R^-T (eps_net - eps)|^2, which is g^2 |score - score_net|^2
    output weighting: |eps_net - eps|^2 / |A|^2 for eps = A f + (what u says by itself), the error of the network's own
        output f: the loss of EDM (prediction edm) and of rectified flow (prediction flow). With a velocity A must have
        one direction (edm, edm_aligned): the loss is EDM's at the effective noise of all components (models.transfer)

For CLD, lift sets v = 0 and Sigma carries the initial velocity: this is hybrid score matching (arXiv:2112.07068).
"""

import jax.numpy as jnp

from linnet.arrays import Array
from linnet.sde_lib import blocks
from linnet.training.objectives.at_times import AtTimes
from linnet.training.objectives.base import Condition, Params, dropout_keys


class DenoisingScoreMatching(AtTimes):
    """Denoising score matching at continuous times (CLD: hybrid); `eps_net` is a models.eps_net.EpsNet.

    ValueError for times or weights that the process or the network does not have.
    """

    config_keys = (*AtTimes.config_keys, "reduce_mean", "likelihood_weighting", "output_weighting")

    def __init__(self, config, eps_net):
        super().__init__(config, eps_net)
        training = config.training
        self.reduce_mean = training.reduce_mean
        self.likelihood_weighting = training.likelihood_weighting
        self.output_weighting = training.output_weighting
        if eps_net.prediction == "class":
            raise ValueError(
                "config.training.objective='dsm' is for a network that gives an eps, and config.model.name=encoder is "
                "a classifier: set config.training.objective=classifier"
            )
        if self.output_weighting and self.likelihood_weighting:
            raise ValueError(
                "config.training.output_weighting and likelihood_weighting are two losses: set one of them"
            )
        if self.output_weighting and self.sde.k > 1 and eps_net.prediction not in ("edm", "edm_aligned"):
            raise ValueError(
                f"config.training.output_weighting under {type(self.sde).__name__}, which has a velocity, needs "
                f"config.model.prediction=edm or edm_aligned, not {eps_net.prediction!r}"
            )

    def losses(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool = True, condition: Condition = None
    ) -> Array:
        """Loss of each example, (B,) float32: x (B, H, W, C) in model range, keys (B,), t (B,)."""
        dropout = dropout_keys(keys, train)
        u, eps = self.noised(x, keys, t)
        return self.weigh(self.eps_net(params, u, t, dropout, condition) - eps, t)

    def weigh(self, gap: Array, t: Array) -> Array:
        """Weighted, reduced squared norm of gap = eps_net - eps, (B,)."""
        if self.output_weighting:
            gap = gap / self._output_scale(gap, t)
        if self.likelihood_weighting:
            # |G^T y|^2 = y^T G G^T y with y = R^-T gap
            y = blocks.apply(blocks.transpose(blocks.inverse(self.sde.R(t))), gap)
            square = y * blocks.apply(self.sde.GGt(t), y)
        else:
            square = gap**2
        square = square.reshape(len(square), -1)
        return square.mean(1) if self.reduce_mean else 0.5 * square.sum(1)

    def _output_scale(self, u: Array, t: Array) -> Array:
        """|A|, Frobenius' norm, of eps = A f + (what u says by itself) at times t (B,); has the shape of u."""
        k = self.sde.k
        outputs = jnp.repeat(jnp.eye(k, dtype=u.dtype), u.shape[-1] // k, axis=-1)
        columns = [self.eps_net.to_eps(lambda u, f=f: u + f, jnp.zeros_like(u), t) for f in outputs]
        squares = sum(column**2 for column in columns).reshape(*u.shape[:-1], k, -1)
        return jnp.tile(jnp.sqrt(squares.sum(-2)), k)
