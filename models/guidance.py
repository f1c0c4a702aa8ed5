"""A network with its parameters and condition, as samplers are given it (see the protocols in samplers.base), guided.

Four terms, each of its own scale, within one interval of noise levels; elsewhere the network is as it is:

    classifier-free  f <- f(no class) + w (f(class) - f(no class))            (arXiv:2207.12598)
    autoguidance     eps <- eps_guide + w (eps - eps_guide)                   (arXiv:2406.02507)
    classifier       eps <- eps - s R^T grad_u log p(y | u, t)                (arXiv:2011.13456, 2105.05233)
    interval         low < sigma(t) <= high                                   (arXiv:2404.07724)

in this order. The first is about the output, whatever that means, since all predictions are affine in each other; the
halves about variances are those with the class. The guide is a weaker network of the same process. The third is Bayes'
rule: log p(u | y) = log p(u) + log p(y | u) + const and score = -R^-T eps, where R is a matrix for each pixel; on the
discrete chain the mean of a step moves by beta_i / sqrt(alpha_i) s grad, which is the variance of the step times the
gradient to first order (ADM, algorithm 1). sigma is the noise that is left of an image in units of x_0, sigma =
(mu^T Sigma^-1 mu)^(-1/2) of models.transfer, the same for every process: that of VE and EDM, sigma / alpha of VP.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array, per_example
from linnet.models.transfer import direction

NO_CLASS = -1


@dataclasses.dataclass(frozen=True)
class Guidance:
    """scale: of the class. guide: eps(u, t) of a weaker network. log_prob: log p(y | u, t) (B,) of a classifier.

    interval: noise levels between which there is guidance at all. Scales 1 of the class and of the guide are none, and
    None is no guide and no classifier.
    """

    scale: float = 1.0
    guide: Callable | None = None
    guide_scale: float = 1.0
    log_prob: Callable | None = None
    classifier_scale: float = 1.0
    interval: tuple[float, float] = (0.0, math.inf)

    @property
    def changes_eps(self) -> bool:
        """Whether there is guidance beside that of the class, which needs an eps."""
        return self.guide is not None or self.log_prob is not None

    def within(self, sde: Any, t: Array, guided: Callable[[Array], Any], plain: Callable[[], Any]) -> Any:
        """guided(inside) where the noise at t (B,) lies in the interval, and plain() where that of no example does.

        inside (B,): which examples are guided.
        """
        if self.interval == (0.0, math.inf):
            return guided(jnp.ones_like(t, bool))
        sigma = direction(sde, t)[1][:, 0, 0, 0, 0]  # of blur that of the lowest frequency
        inside = (self.interval[0] < sigma) & (sigma <= self.interval[1])
        return jax.lax.cond(inside.any(), lambda: guided(inside), plain)

    def change(self, sde: Any, eps: Array, u: Array, t: Array) -> Array:
        """What the guide and the classifier add to eps (B, ...) of the state u at times t (B,)."""
        change = jnp.zeros_like(eps)
        if self.guide is not None:
            change += (self.guide_scale - 1) * (eps - self.guide(u, t))
        log_prob = self.log_prob
        if log_prob is not None:
            gradient = jax.grad(lambda u: log_prob(u, t).sum())(u)
            change += self.classifier_scale * sde.eps(gradient, t)
        return change

    def of_image(self, i: Any) -> "Guidance":
        """The same for image i of the batch alone."""
        alone = {name: of_image(getattr(self, name), i) for name in ("guide", "log_prob")}
        return dataclasses.replace(self, **alone)


NONE = Guidance()


def of_image(function: Any, i: Any) -> Any:
    """A function of states for image i alone, where it is given something of each image."""
    return function.of_image(i) if hasattr(function, "of_image") else function


@dataclasses.dataclass(frozen=True)
class Bound:
    """An EpsNet with its parameters. condition: keyword arguments of the network, each (B, ...).

    ValueError for classifier-free guidance without a class to act on.
    """

    net: Any
    params: Any
    condition: dict
    guidance: Guidance = NONE

    def __post_init__(self):
        if self.guidance.scale != 1 and "label" not in self.condition:
            raise ValueError("config.sampling.guidance needs a class-conditional network: config.model.num_classes")

    def output(self, u: Array, t: Array) -> Array:
        """The network's output at times t (B,), classifier-free guided: as EpsNet.output."""
        if self.guidance.scale == 1:
            return self._plain(u, t)
        return self.guidance.within(self.net.sde, t, lambda inside: self._free(u, t, inside), lambda: self._plain(u, t))

    def _plain(self, u, t):
        return self.net.output(self.params, u, t, condition=self.condition)

    def _free(self, u, t, inside):
        """The output, guided for the examples `inside` (B,)."""
        free = self.condition | {"label": jnp.full_like(self.condition["label"], NO_CLASS)}
        u2, t2, both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (u, t, self.condition), (u, t, free))
        with_class, without = jnp.split(self.net.output(self.params, u2, t2, condition=both), 2)
        channels = u.shape[-1]
        f, base = with_class[..., :channels], without[..., :channels]
        w = jnp.where(per_example(inside, u), self.guidance.scale, 1.0).astype(u.dtype)
        return jnp.concatenate([base + w * (f - base), with_class[..., channels:]], axis=-1)

    def of_image(self, i: Any) -> Any:
        """The same with the condition of image i of the batch, for a batch of one."""
        condition = jax.tree.map(lambda a: a[i][None], self.condition)
        return dataclasses.replace(self, condition=condition, guidance=self.guidance.of_image(i))


@dataclasses.dataclass(frozen=True)
class BoundEps(Bound):
    """eps_fn(u, t), and for samplers of the discrete chain `output` and what it means."""

    def __call__(self, u: Array, t: Array) -> Array:
        return self.parts(u, t)[0]

    def parts(self, u: Array, t: Array) -> tuple[Array, Array]:
        """(eps, what the network says of variances, of 0 channels or those of u), guided; u (B, ...), t (B,)."""
        said = []

        def f(v):
            output = Bound.output(self, v, t)
            said.append(output[..., v.shape[-1] :])
            return output[..., : v.shape[-1]]

        eps = self.net.to_eps(f, u, t)
        if not self.guidance.changes_eps:
            return eps, said[0]

        def guided(inside):
            change = self.guidance.change(self.net.sde, eps, u, t)
            return eps + jnp.where(per_example(inside, u), change, 0)

        return self.guidance.within(self.net.sde, t, guided, lambda: eps), said[0]

    def output(self, u: Array, t: Array) -> Array:
        """As `prediction` says, and what the network says of variances after it."""
        if not self.guidance.changes_eps:
            return super().output(u, t)
        return jnp.concatenate(self.parts(u, t), axis=-1)

    @property
    def prediction(self) -> str:
        """What `output` means, a key of models.predictions.PREDICTIONS."""
        return "eps" if self.guidance.changes_eps else self.net.prediction

    @property
    def variance(self) -> str:
        """What the second half of `output` means, one of sde_lib.chain.VARIANCES."""
        return self.net.variance


@dataclasses.dataclass(frozen=True)
class BoundDirect(Bound):
    """The map of a DDDM network, which gives no eps. ValueError for guidance that changes one."""

    def __post_init__(self):
        super().__post_init__()
        if self.guidance.changes_eps:
            raise ValueError(
                "config.sampling.classifier and guide change an eps, which a network with config.model.prediction="
                "'direct' does not give"
            )

    def noised(self, x_hat: Array, fraction: Array, keys: Array) -> Array:
        """What a DDDM network sees of the estimates x_hat (B, ...): see EpsNet.noised."""
        return self.net.noised(x_hat, fraction, keys)

    def direct(self, x_hat: Array, u: Array, t: Array) -> Array:
        """The next estimate of the image of u, by a DDDM network that sees x_hat of the last one, each (B, ...)."""
        bound = dataclasses.replace(self, condition=self.condition | {"context": x_hat})
        return self.net.estimate(bound.output(u, t), u, t)


@dataclasses.dataclass(frozen=True)
class BoundClassifier:
    """log p(y | u, t) of a trained classifier (an EpsNet of prediction "class"), y the label of its condition."""

    net: Any
    params: Any
    condition: dict

    def __call__(self, u: Array, t: Array) -> Array:
        """(B,) at states u (B, ...) and times t (B,)."""
        label = self.condition["label"][:, None]
        return jnp.take_along_axis(self.net.log_probs(self.params, u, t), label, axis=1)[:, 0]

    def of_image(self, i: Any) -> "BoundClassifier":
        """The same for image i of the batch alone."""
        return dataclasses.replace(self, condition={"label": self.condition["label"][i][None]})
