"""sub-VP diffusion: the drift of VP with Sigma = (1 - exp(-B))^2, B = int_0^t beta (arXiv:2011.13456, eq. 28)."""

from linnet.arrays import Block, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.vp import BetaSDE


class SubVP(BetaSDE):
    """sub-VP SDE: G G^T = beta (1 - exp(-2 B)). It is no chain of DDPM, whatever its schedule."""

    def GGt(self, t: Times) -> Block:
        xp, t = blocks.namespace(t)
        return blocks.scalar(-self.schedule.beta(t) * xp.expm1(-2 * self.schedule.B(t, t * 0)))

    def Sigma(self, t: Times) -> Block:
        xp, t = blocks.namespace(t)
        return blocks.scalar(xp.expm1(-self.schedule.B(t, t * 0)) ** 2)
