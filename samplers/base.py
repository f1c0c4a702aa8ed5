"""What every sampler is, and what it may ask of a network.

A sampler is a callable (network, key, u_T) -> Samples, declared as a frozen dataclass whose keyword fields are the keys
of config.sampling that it takes. A network comes with its parameters and condition (models.guidance has Linnet's own);
each sampler says in `takes` which of the protocols below it is given. They are structural: what has the methods is one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol, dataclass_transform, runtime_checkable

import numpy as np

from linnet.arrays import Array, Host
from linnet.samplers import grids
from linnet.sde_lib import LinearSDE, blocks


@runtime_checkable
class EpsFunction(Protocol):
    """eps(u, t), score = -R^-T eps. A plain function is one."""

    def __call__(self, u: Array, t: Array) -> Array:
        """eps, the shape of u (B, ...), at times t (B,)."""


@runtime_checkable
class ChainNetwork(EpsFunction, Protocol):
    """An eps function that also shows what the network says of a step of the discrete chain.

    prediction: what the first half of `output` means, of which sde_lib.chain.MEANINGS are of use on the chain.
    variance: of the reverse steps, one of sde_lib.chain.VARIANCES.
    """

    prediction: str
    variance: str

    def output(self, u: Array, t: Array) -> Array:
        """The network's output at times t (B,): the shape of u (B, ...), or with variances twice its channels."""


@runtime_checkable
class DirectNetwork(Protocol):
    """DDDM's map from a state and an estimate of its image to the next estimate (arXiv:2405.13540)."""

    def noised(self, x_hat: Array, fraction: Array, keys: Array) -> Array:
        """What the network sees of estimates x_hat (B, ...) with `fraction` (B,) of its noise; keys (B,)."""

    def direct(self, x_hat: Array, u: Array, t: Array) -> Array:
        """The next estimate, the shape of u (B, ...), of the image of u at times t (B,), which sees x_hat."""


@runtime_checkable
class ByImage(Protocol):
    """Any of these that has a condition of each image of the batch."""

    def of_image(self, i: Any) -> Any:
        """The same for image i alone, a batch of one."""


REFUSALS: dict[type, str] = {
    EpsFunction: "a network with config.model.prediction='direct' gives no eps: sample from it with "
    "config.sampling.method=fixed_point; it has no probability flow",
    DirectNetwork: "config.sampling.method='fixed_point' needs a network with config.model.prediction=direct",
}
"""What to say where a network is not what is needed."""


def require(network: Any, protocol: type) -> None:
    """ValueError where `network` is not what `protocol` says."""
    if not isinstance(network, protocol):
        raise ValueError(REFUSALS[protocol])


def of_image(network: Any, i: Any) -> Any:
    """`network` for image i of the batch alone; a function that knows nothing of images is the same for all."""
    return network.of_image(i) if isinstance(network, ByImage) else network


class Samples(NamedTuple):
    """u: final states, the shape of u_T. nfe: calls of eps_fn. trajectory: None, or {"t" (N,), "u", "x_0" (N, ...)}."""

    u: Array
    nfe: int | Array
    trajectory: Any = None


class Processes(NamedTuple):
    """The processes that a sampler makes sense for: words for the table, and a test of a process."""

    name: str
    accept: Callable[[Any], bool]


def _stationary(sde):
    """Whether the prior is invariant under the forward process: F S + S F^T + G G^T = 0."""
    S = np.diag(sde.prior_std() ** 2)[None, None]
    t = np.linspace(0.2, 0.8, 4) * sde.T
    F_S = blocks.matmul(sde.F(t), S)
    return np.allclose(F_S + blocks.transpose(F_S) + sde.GGt(t), 0, atol=1e-9 * np.abs(F_S).max())


def grows_evenly(sde: LinearSDE) -> bool:
    """Whether equal times resolve the noise: as the process says, or where it says nothing, whether the first 2 % of
    [0, T] hold less than half of the levels of log rho."""
    if sde.equal_times is not None:
        return sde.equal_times
    first, half, last = (grids.log_rho(sde, t) for t in (sde.t_min, 0.02 * sde.T, sde.T))
    return half - first < (last - first) / 2


ALL = Processes("all", lambda sde: True)
SCALAR = Processes("one noise level for all pixels", lambda sde: np.size(sde.Sigma(sde.T)) == 1)
DIAGONAL = Processes("k = 1", lambda sde: sde.k == 1)
UP_TO_PAIRS = Processes("k = 1 or 2", lambda sde: sde.k <= 2)
STATIONARY = Processes("prior invariant under the forward process", _stationary)


@dataclasses.dataclass(frozen=True)
class Depends:
    """An attribute that depends on the settings: `value` of the sampler, and on its class the words of the table."""

    words: str
    value: Callable[[Any], Any]

    def __get__(self, sampler, owner):
        return self.words if sampler is None else self.value(sampler)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
@dataclasses.dataclass(frozen=True, eq=False)
class Sampler:
    """Base of the entries of SAMPLERS: Sampler(sde, *, settings), a frozen dataclass, as subclasses are by themselves.

    sde: the process. Fields are settings, keys of config.sampling; one that a method fixes has init=False. What follows
    from them is set once, in __post_init__, which raises ValueError for settings that make no sense.
    trajectory: whether Samples holds the states on the way: all of them, or so many evenly chosen ones.

    Class attributes describe the method. order: of convergence of the mean path, or where noise is drawn of the law.
    stochastic: whether noise is drawn. takes: the protocol of the network that `run` is given. The first
    three may be `Depends`.
    """

    sde: LinearSDE
    trajectory: bool | int = dataclasses.field(default=False, kw_only=True)

    order: ClassVar[Any] = 1
    nfe_per_step: ClassVar[Any] = 1
    stochastic: ClassVar[Any] = False
    takes: ClassVar[type] = EpsFunction
    processes: ClassVar[Processes] = ALL
    reference: ClassVar[str] = ""

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, eq=False, kw_only=True)(cls)

    def __post_init__(self) -> None:
        """Checks the settings and sets what follows from them."""

    def _set(self, **derived):
        """Sets what follows from the settings."""
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def check(cls, network: Any) -> Any:
        """`network` as the sampler takes it. ValueError, in one line, where it takes another kind."""
        require(network, cls.takes)
        return network

    def __call__(self, eps_fn: Any, key: Array, u_T: Array) -> Samples:
        """Samples from u_T (B, ...), with a network as `takes` says: for most of them eps_fn(u, t), t (B,).

        key: one key or one per image, used where noise is drawn. Pure, so it can be jitted and mapped over devices.
        """
        return self.run(self.check(eps_fn), key, u_T)

    def run(self, network: Any, key: Array, u_T: Array) -> Samples:
        """The method itself."""
        raise NotImplementedError


class GridSampler(Sampler):
    """A sampler with steps on a time grid.

    nfe: at most so many network evaluations; once built, as many as are made. grid, ts_order: see grids; None is the
    grid of the process and the exponent of the grid. noise_removal: the last evaluation is a denoising step.
    """

    nfe: int = 50
    grid: str | None = None
    ts_order: float | None = None
    noise_removal: bool = True

    def _prefer_equal_times(self):
        """Where no grid is chosen: equal times, if k = 1 and they resolve the noise, else the grid of the process."""
        if self.grid is None and self.sde.k == 1 and grows_evenly(self.sde):
            self._set(grid="uniform")

    def grid_times(self, steps: int) -> Host:
        """The steps + 1 times of the grid."""
        return grids.make_grid(self.grid, self.sde, steps, self.ts_order)
