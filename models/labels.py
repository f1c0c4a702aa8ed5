"""Time labels: what a network is given of the time t, and the states that it knows.

    Proportional   sde.label_rate t, or t itself: continuous time         (999 t: score_sde, arXiv:2011.13456; 1000 t of
                   the straight path; the angle of TrigFlow, arXiv:2410.11081; t: CLD-SGM)
    NoiseLevel     R(t), where Psi = 1: continuous time of VE, EDM        (score_sde; EDM's networks, arXiv:2206.00364,
                   embed its log / 4: config.model.log_label)
    Numbered       i of the n states t_i = T i / (n - 1) of a process without a chain; where Psi = 1 counted from the
                   largest noise                                          (score_sde with continuous = False)
    OnChain        i of the steps of `sde.chain`, times a scale           (DDPM; improved DDPM rescales to 0 .. 1000)

label(t) is in the array type and the shape of t. n is the number of states on which the network is trained, None where
that is every time between; `time(i)` is the time of state i = 0 .. n - 1, towards noise. Everybody who needs the states
asks here.
"""

import dataclasses
from typing import Any

from linnet.sde_lib import LinearSDE
from linnet.sde_lib.chain import Chain

STATES = 1000
"""States of a process without a chain, where config.model.num_scales does not say."""


@dataclasses.dataclass(frozen=True)
class Proportional:
    """rate t."""

    rate: float = 999.0
    n = None

    def label(self, t: Any) -> Any:
        """rate t, in the array type and shape of t."""
        return self.rate * t


@dataclasses.dataclass(frozen=True)
class NoiseLevel:
    """R(t) of a process with k = 1 and one noise level for all pixels; networks take its logarithm themselves."""

    sde: LinearSDE
    n = None

    def label(self, t: Any) -> Any:
        """R(t), in the array type and shape of t."""
        return self.sde.R(t)[..., 0, 0, 0, 0]


@dataclasses.dataclass(frozen=True)
class Numbered:
    """The number of the state at t, between two states a fraction.

    whole: the nearest number instead. falling: counted from the state with the largest noise.
    """

    n: int
    T: float = 1.0
    whole: bool = False
    falling: bool = False

    def time(self, i: Any) -> Any:
        """The time of state i = 0 .. n - 1, towards noise."""
        return self.T * i / (self.n - 1)

    def label(self, t: Any) -> Any:
        """The number of the state at t, in the array type and shape of t."""
        fraction = t / self.T
        number = (self.n - 1) * (1 - fraction if self.falling else fraction)
        return number.round() if self.whole else number


@dataclasses.dataclass(frozen=True)
class OnChain:
    """The number of the step at t, between two steps a fraction, times `scale`.

    whole: the nearest number instead. continuous: whether the network is trained between the steps as well.
    """

    chain: Chain
    scale: float = 1.0
    whole: bool = False
    continuous: bool = False

    @property
    def n(self) -> int | None:
        """The number of steps, None where the network is trained between them as well."""
        return None if self.continuous else self.chain.n

    def time(self, i: Any) -> Any:
        """The time of step i = 0 .. n - 1."""
        return self.chain.time(i)

    def label(self, t: Any) -> Any:
        """The number of the step at t times `scale`, in the array type and shape of t."""
        number = self.chain.step(t)
        return self.scale * (number.round() if self.whole else number)


def labels_of(
    sde: LinearSDE,
    prediction: str = "eps",
    continuous: bool = True,
    num_scales: int | None = None,
    rescale: bool = False,
) -> Any:
    """The labels of a network for `sde` whose output means `prediction`; the other parameters are keys of the config.

    Networks of DDDM always know the states. ValueError for keys that mean nothing to the process.
    """
    if rescale and sde.chain is None:
        raise ValueError(
            "config.model.rescale_timesteps needs a discrete chain: config.sde.name=vp and config.sde.schedule="
            "discrete, discrete_cosine or quad"
        )
    direct = prediction == "direct"
    if sde.chain is not None:
        if num_scales not in (None, sde.chain.n):
            raise ValueError(
                f"config.model.num_scales={num_scales}: this process has a discrete chain, of {sde.chain.n} states; "
                "leave it out (None) and set config.sde.num_steps"
            )
        return OnChain(sde.chain, 1000 / sde.chain.n if rescale else 1.0, direct, continuous and not direct)
    if not continuous or direct:
        n = STATES if num_scales is None else num_scales
        if n < 2:
            raise ValueError(f"config.model.num_scales={n}: at least 2 states are needed")
        falling = sde.exploding and not direct
        return Numbered(n, sde.T, direct or falling, falling)
    if prediction == "velocity":
        return Proportional(1.0)
    return NoiseLevel(sde) if sde.exploding else Proportional(sde.label_rate)
