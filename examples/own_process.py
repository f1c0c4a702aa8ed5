"""A process of one's own: du = -a u dt + sqrt(2 a) dw, whose prior N(0, 1) is also its stationary law."""

import jax

from linnet.samplers import SAMPLERS
from linnet.sde_lib import LinearSDE, blocks
from linnet.sde_lib.exact import gaussian_eps


class OrnsteinUhlenbeck(LinearSDE):
    a, t_min = 5.0, 1e-4

    def F(self, t):
        return blocks.scalar(0 * blocks.namespace(t)[1] - self.a)

    def GGt(self, t):
        return blocks.scalar(0 * blocks.namespace(t)[1] + 2 * self.a)

    def Psi(self, t, s):
        return blocks.scalar(blocks.namespace(t - s)[0].exp(-self.a * (t - s)))

    def Sigma(self, t):  # R is its root, unless there is a velocity
        return blocks.scalar(-blocks.namespace(t)[0].expm1(-2 * self.a * t))


sde = OrnsteinUhlenbeck()
sampler = SAMPLERS["gddim"](sde, nfe=50)
x = sampler(gaussian_eps(sde, [2.0], 0.25), None, sde.prior(jax.random.key(0), (10_000, 1))).u  # of data N(2, 0.5^2)
print(f"mean {x.mean():.3f} std {x.std():.3f}")
