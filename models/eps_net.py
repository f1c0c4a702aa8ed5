"""The border between a Flax network and the eps(u, t) that objectives and samplers know.

    network output f = module(to_image(u), labels.label(t))          (see models.labels)
    eps = PREDICTIONS[prediction](f)                                 (see models.predictions)

A network may return twice the channels of u: then f is the first half, and the second is about variances. One of
prediction "class" returns no f but logits of classes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet import registry
from linnet.arrays import Array, per_example
from linnet.models.guidance import NONE, Bound, BoundClassifier, BoundDirect, BoundEps, Guidance
from linnet.models.labels import labels_of
from linnet.models.predictions import PREDICTIONS, check_direct, skip_and_out
from linnet.sde_lib import LinearSDE, blocks
from linnet.sde_lib.base import normal_per_example
from linnet.sde_lib.chain import split_output


@dataclasses.dataclass(frozen=True)
class EpsNet:
    """A module and a process joined. labels: an object of models.labels; None: that of continuous time.

    variance: of the chain's reverse steps, one of sde_lib.chain.VARIANCES. context_noise: see `noised`.
    ValueError for an unknown prediction, or one that the process does not allow.
    """

    module: Any
    sde: LinearSDE
    prediction: str = "eps"
    mixed_score: bool = False
    sigma_data: float = 0.5
    labels: Any = None
    variance: str = "fixed_large"
    context_noise: float = 0.0

    def __post_init__(self):
        registry.check(PREDICTIONS, self.prediction, "config.model.prediction")
        if self.mixed_score and (self.sde.k != 2 or self.prediction not in ("eps", "velocity")):
            raise ValueError(
                "config.model.mixed_score is for a process with a velocity and no more (config.sde.name=cld or pld), "
                "and config.model.prediction=eps or velocity"
            )
        if self.sde.k != 2 and self.prediction == "velocity":
            raise ValueError("config.model.prediction='velocity' is for a process with one: config.sde.name=cld or pld")
        if self.sde.k > 1 and self.prediction in ("x_0", "v", "previous", "direct"):
            raise ValueError(f"config.model.prediction {self.prediction!r} is for processes without a velocity")
        if self.prediction == "flow" and not np.linalg.det(self.sde.GGt(self.sde.T / 2)).all():
            raise ValueError(
                "config.model.prediction='flow' is for processes with noise in every component: of "
                f"{type(self.sde).__name__} the velocity says nothing about the eps of a component without"
            )
        if self.prediction == "previous" and self.sde.chain is None:
            raise ValueError(
                "config.model.prediction='previous' needs a discrete chain: config.sde.name=vp and "
                "config.sde.schedule=discrete, discrete_cosine or quad"
            )
        if (self.prediction == "class") != getattr(self.module, "classifies", False):
            raise ValueError("config.model.prediction='class' and config.model.name=encoder go together")
        if self.prediction == "direct":
            self._check_direct()
        if self.labels is None:
            object.__setattr__(self, "labels", labels_of(self.sde, self.prediction))

    def _check_direct(self):
        check_direct(self.sde)
        module = self.module
        if not (getattr(module, "concat", False) or getattr(module, "cross_attention", False)):
            raise ValueError(
                "config.model.prediction='direct' needs a network that sees the earlier estimate: "
                "config.model.concat=True (unet, mlp) or config.model.cross_attention=True (unet)"
            )
        if getattr(module, "learn_sigma", False):
            raise ValueError("config.model.prediction='direct' has no variance: set config.model.learn_sigma=False")
        if not 0 <= self.context_noise <= 1:
            raise ValueError(f"config.model.context_noise={self.context_noise} must lie between 0 and 1")

    def __call__(
        self, params: Any, u: Array, t: Array, keys: Array | None = None, condition: dict[str, Any] | None = None
    ) -> Array:
        """eps, the shape of u, at times t (B,); keys and condition as in `output`."""
        return self.to_eps(lambda u: split_output(self.output(params, u, t, keys, condition), u)[0], u, t)

    def output(
        self, params: Any, u: Array, t: Array, keys: Array | None = None, condition: dict[str, Any] | None = None
    ) -> Array:
        """What the network makes of u at times t (B,), in the basis of the state: once or twice the channels of u.

        keys (B,): one per example, for dropout; None: no dropout. condition: further keyword arguments of the network,
        each (B, ...).
        """
        train = False if keys is None else keys
        f = self.module.apply({"params": params}, *self._seen(u, t), train=train, **(condition or {}))
        return self.sde.from_image(f)

    def log_probs(self, params: Any, u: Array, t: Array, keys: Array | None = None) -> Array:
        """log p(y | u, t) of all classes y, (B, num_classes), by a classifier; keys as in `output`."""
        train = False if keys is None else keys
        return jax.nn.log_softmax(self.module.apply({"params": params}, *self._seen(u, t), train=train))

    def _seen(self, u, t):
        """What the module is shown of the state u at times t (B,), and the label of the times."""
        return self.sde.to_image(u), self.labels.label(t)

    def noised(self, x_hat: Array, fraction: Array, keys: Array) -> Array:
        """What a DDDM network sees of the estimates x_hat (B, ...): sqrt(1 - s^2) x_hat + s z, z ~ N(0, I).

        s = context_noise * fraction, fraction (B,) in [0, 1]; keys (B,): of z. The paper's method has s = 0.
        """
        if not self.context_noise:
            return x_hat
        s = per_example(self.context_noise * fraction, x_hat)
        return jnp.sqrt(1 - s**2) * x_hat + s * normal_per_example(keys, x_hat.shape)

    def estimate(self, F: Array, x_t: Array, t: Array) -> Array:
        """DDDM's f(x_hat, x_t, t), the shape of x_t: x_t - F for VP, kappa x_t + (1 - kappa) F for VE; t (B,).

        F: output of the network at (x_t, t) with x_hat, or what is `noised` of it, as its `context`.
        """
        skip, out = skip_and_out(self.sde, t)
        return blocks.apply(skip, x_t) + blocks.apply(out, F)

    def to_eps(self, f: Callable[[Array], Array], u: Array, t: Array) -> Array:
        """eps from f, the network (first half of its output) as a function of u at the fixed times t (B,)."""
        return PREDICTIONS[self.prediction](self, f, u, t)

    def begin(self, t_min: float, on_chain: bool) -> float:
        """The smallest time that the network knows: t_min, or that of the first state where it was trained on states.

        on_chain: whether it was trained on the states of the chain whatever its labels.
        """
        states = self.labels.n is not None or (self.sde.chain is not None and on_chain)
        return max(t_min, float(self.labels.time(0)) if states else 0.0)

    def init(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        """Parameters for images of shape (H, W, C) or points of shape (D,): the tree under "params", float32."""
        u = jnp.zeros((1, *shape[:-1], self.sde.k * shape[-1]))
        return self.module.init({"params": key}, u, jnp.ones(1), train=False)["params"]

    def bind(self, params: Any, condition: dict[str, Any] | None = None, guidance: Guidance = NONE) -> Bound:
        """What samplers are given: the network with its parameters and condition, without dropout, guided.

        ValueError for a classifier, which draws nothing.
        """
        if self.prediction == "class":
            raise ValueError(
                "a classifier (config.model.prediction='class') gives no eps, so that nothing is drawn by it: let it "
                "guide a network of the same process by config.sampling.classifier=WORKDIR"
            )
        kind = BoundDirect if self.prediction == "direct" else BoundEps
        return kind(self, params, condition or {}, guidance)

    def classify(self, params: Any, condition: dict[str, Any]) -> BoundClassifier:
        """log p(y | u, t) of the labels of the condition, by a network of prediction "class"."""
        return BoundClassifier(self, params, condition)


def create_eps_net(config: ConfigDict, module: Any, sde: LinearSDE) -> EpsNet:
    """The EpsNet that config.model and config.training describe. ValueError as `EpsNet` and `labels_of`."""
    model = config.model
    rescale = model.get("rescale_timesteps", False)
    return EpsNet(
        module,
        sde,
        prediction=model.prediction,
        mixed_score=model.get("mixed_score", False),
        sigma_data=model.get("sigma_data", 0.5),
        labels=labels_of(sde, model.prediction, config.training.continuous, model.get("num_scales"), rescale),
        variance=model.get("variance", "fixed_large"),
        context_noise=model.get("context_noise", 0.0),
    )
