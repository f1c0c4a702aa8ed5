"""The variational bound itself (arXiv:2102.09672, section 3.3): N L_i, whose mean over i is the bound in bits/dim.

The prior term is left out: it has no parameters. Its gradient is noisy; training.timestep_sampler=loss_second_moment
is how the published runs deal with that.
"""

from linnet.arrays import Array
from linnet.training.objectives.on_chain import ChainObjective


class VariationalBound(ChainObjective):
    """The variational bound trains mean and variance on the discrete chain."""

    def loss(self, output: Array, x_0: Array, x: Array, i: Array, noise: Array) -> Array:
        return self.chain.n * self.bits(output, x_0, x, i)
