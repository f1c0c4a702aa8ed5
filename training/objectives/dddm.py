"""Directly denoising diffusion (DDDM, arXiv:2405.13540, algorithm 1; VP and VE: arXiv:2405.21059).

    x_t = Psi x_0 + R z      y = f(x_hat_i, x_t, t)      x_hat_i <- y
    loss = w d(y, x_0) + (1 - w) d(y, x_hat_i),     w = max(1 / (n + 1), guide_floor) in epoch n = 0, 1, ...

x_hat_i is what the network made of image i an epoch before, N(0, I) at the start; no gradient flows through it. f is
EpsNet.estimate. The paper has guide_floor = 0 and shows the network x_hat_i as it is; with model.context_noise it sees
a noised x_hat_i (EpsNet.noised), which is a variant of ours. The distances d, means over pixels:

    mse                    (a - b)^2
    pseudo_huber           sqrt((a - b)^2 + c^2) - c
    adaptive_pseudo_huber  the same with c / (n + 1)
    pseudo_lpips           sqrt(LPIPS(a, b)^2 + c^2) - c, images below 256 pixels enlarged to 224
"""

import copy
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from linnet import registry
from linnet.arrays import Array
from linnet.models import lpips
from linnet.models.lpips_weights import load_params
from linnet.randomness import Part, fold
from linnet.sde_lib.base import normal_per_example
from linnet.training.objectives.base import Condition, Objective, Params, Seen, dropout_keys, even_fractions

DISTANCES = ("mse", "pseudo_huber", "adaptive_pseudo_huber", "pseudo_lpips")
"""Values of config.training.loss."""


def pseudo(square: Array, c: float) -> Array:
    """sqrt(square + c^2) - c without cancellation, elementwise."""
    return square / (jnp.sqrt(square + c**2) + c)


class DirectDenoising(Objective):
    """DDDM: a fixed point of estimates of the image.

    ValueError for a network whose prediction is not "direct", and for keys of config.training that make no sense.

    fixed: the weights of LPIPS, where it is the distance.
    """

    keeps_estimates = True
    config_keys = ("loss", "loss_c", "lpips_net", "lpips_path", "memory", "memory_dtype", "guide_floor")

    def __init__(self, config, eps_net):
        training = config.training
        check(training, eps_net)
        self.net = eps_net
        self.sde = eps_net.sde
        self.name = training.loss
        self.c = training.loss_c
        self.guide_floor = training.guide_floor
        self.labels = eps_net.labels
        self.t_min = self.labels.time(0)
        self.t_max = self.labels.time(self.labels.n - 1)
        if self.name == "pseudo_lpips":
            if not config.data.centered:
                raise ValueError(
                    "config.training.loss='pseudo_lpips' is for images in [-1, 1]: config.data.centered=True"
                )
            self.lpips_net = training.lpips_net
            self.fixed = load_params(training.lpips_net, training.lpips_path or None)

    def bind(self, fixed: Any) -> Objective:
        bound = copy.copy(self)
        bound.fixed = fixed
        return bound

    def times(self, key: Array, position: Array, batch_size: int) -> Array:
        fraction = even_fractions(key, position, batch_size)
        return self.labels.time(jnp.floor(fraction * self.labels.n))

    def distances(self, y: Array, others: Sequence[Array], epoch: Array) -> list[Array]:
        """d(y, b) (B,) of images (B, ...) in epochs (B,) for each b of `others`."""
        if self.name != "pseudo_lpips":
            return [self.distance(y, b, epoch) for b in others]
        of_y, *of_others = (lpips.features(self.fixed, lpips.upscaled(image), self.lpips_net) for image in (y, *others))
        return [pseudo(lpips.distance(self.fixed, of_y, of_b) ** 2, self.c) for of_b in of_others]

    def distance(self, a: Array, b: Array, epoch: Array) -> Array:
        """d(a, b) of images by their pixels."""
        square = ((a - b) ** 2).reshape(len(a), -1)
        if self.name == "mse":
            return square.mean(1)
        c = self.c / (epoch[:, None] + 1) if self.name == "adaptive_pseudo_huber" else self.c
        return pseudo(square, c).mean(1)

    def losses(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool = True, condition: Condition = None
    ) -> Array:
        """The guide loss of the first estimate, made from noise: what there is to measure without a memory."""
        context = normal_per_example(fold(keys, Part.CONTEXT), x.shape)
        y = self.f(params, x, keys, t, train, condition, context)
        return self.distances(y, [x], 0 * t)[0]

    def f(
        self, params: Params, x: Array, keys: Array, t: Array, train: bool, condition: Condition, context: Array
    ) -> Array:
        """y = f(context, x_t, t), the shape of x, with the noise of x_t from keys (B,)."""
        x_t, _ = self.sde.perturb(fold(keys, Part.NOISE), x, t)
        dropout = dropout_keys(keys, train)
        F = self.net.output(params, x_t, t, dropout, (condition or {}) | {"context": context})
        return self.net.estimate(F, x_t, t)

    def examine(
        self,
        params: Params,
        x: Array,
        keys: Array,
        t: Array,
        train: bool = True,
        condition: Condition = None,
        estimates: dict[str, Array] | None = None,
    ) -> Seen:
        """estimates: {"x_hat" (B, ...), "epoch" (B,)}. Seen are the new "estimate" (B, ...), and (B,) each the two
        distances and the mean absolute change of the estimate."""
        assert estimates is not None, "of an objective that keeps them"
        x_hat, epoch = estimates["x_hat"], estimates["epoch"]
        share = jax.vmap(jax.random.uniform)(fold(keys, Part.SHARE))
        context = self.net.noised(x_hat, share, fold(keys, Part.CONTEXT))
        y = self.f(params, x, keys, t, train, condition, context)
        w = jnp.maximum(1 / (epoch + 1), self.guide_floor)
        guide, iteration = self.distances(y, [x, x_hat], epoch)
        y = jax.lax.stop_gradient(y)
        change = jnp.abs(y - x_hat).reshape(len(y), -1).mean(1)
        seen = {"estimate": y, "guide": guide, "iteration": iteration, "change": change}
        return w * guide + (1 - w) * iteration, seen


def check(training: ConfigDict, eps_net: Any) -> None:
    """ValueError for what DDDM cannot be trained with."""
    if eps_net.prediction != "direct":
        raise ValueError("config.training.objective='dddm' trains a network with config.model.prediction=direct")
    registry.check(DISTANCES, training.loss, "config.training.loss")
    if training.loss_c <= 0:
        raise ValueError(f"config.training.loss_c={training.loss_c} must be above 0")
    if not 0 <= training.guide_floor <= 1:
        raise ValueError(f"config.training.guide_floor={training.guide_floor} must lie between 0 and 1")
