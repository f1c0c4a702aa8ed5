"""L_hybrid of improved DDPM (arXiv:2102.09672, section 3.1): the squared error, and the bound for the variance alone.

    mean (f - y)^2 + vlb_weight N L_i,    L_i in bits per dimension, the mean in it kept from the gradient

The published runs have vlb_weight = 1e-3 ("rescaled" losses there); without rescaling it is 1 / N.
"""

import jax
import jax.numpy as jnp

from linnet.arrays import Array
from linnet.sde_lib.chain import split_output
from linnet.sde_lib.variational import mean_over_image
from linnet.training.objectives.on_chain import ChainObjective


class Hybrid(ChainObjective):
    """Improved DDPM: simple plus vlb_weight times the bound, which trains the variance.

    ValueError for a fixed variance: there the two terms are one.
    """

    config_keys = (*ChainObjective.config_keys, "vlb_weight")

    def __init__(self, config, eps_net):
        super().__init__(config, eps_net)
        if self.variance.startswith("fixed"):
            raise ValueError(
                "config.training.objective='hybrid' trains a variance: set config.model.learn_sigma=True and "
                "config.model.variance=learned_range, or use simple"
            )
        self.weight = config.training.vlb_weight * self.chain.n

    def loss(self, output: Array, x_0: Array, x: Array, i: Array, noise: Array) -> Array:
        squared, bits = self.terms(output, x_0, x, i, noise)
        return squared + self.weight * bits

    def terms(self, output: Array, x_0: Array, x: Array, i: Array, noise: Array) -> tuple[Array, Array]:
        """(squared error, L_i with the mean held fixed), (B,) each."""
        f, values = split_output(output, x)
        assert values is not None, "of a learned variance"
        squared = mean_over_image((f - self.chain.target(self.prediction, x_0, x, i, noise)) ** 2)
        frozen = jnp.concatenate([jax.lax.stop_gradient(f), values], axis=-1)
        return squared, self.bits(frozen, x_0, x, i)
