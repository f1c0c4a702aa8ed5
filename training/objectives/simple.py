"""L_simple of DDPM (arXiv:2006.11239, eq. 14): a distance between the output and its target, mean over pixels.

mse    (f - y)^2        l1    |f - y|        huber    (f - y)^2 / 2 below 1, |f - y| - 1/2 above
"""

import jax.numpy as jnp
import optax

from linnet import registry
from linnet.arrays import Array
from linnet.sde_lib.chain import split_output
from linnet.sde_lib.variational import mean_over_image
from linnet.training.objectives.on_chain import ChainObjective

DISTANCES = {
    "mse": lambda gap: gap**2,
    "l1": jnp.abs,
    "huber": optax.huber_loss,
}


class Simple(ChainObjective):
    """DDPM: the distance config.training.loss on the discrete chain.

    ValueError for an unknown one, or a learned variance.
    """

    config_keys = (*ChainObjective.config_keys, "loss")

    def __init__(self, config, eps_net):
        super().__init__(config, eps_net)
        self.distance = registry.choose(DISTANCES, config.training.loss, "config.training.loss")
        if self.variance.startswith("learned"):
            raise ValueError(
                f"config.model.variance={self.variance!r} is not trained by config.training.objective='simple'; use "
                "hybrid or vlb, or a fixed variance"
            )

    def loss(self, output: Array, x_0: Array, x: Array, i: Array, noise: Array) -> Array:
        target = self.chain.target(self.prediction, x_0, x, i, noise)
        return mean_over_image(self.distance(split_output(output, x)[0] - target))
