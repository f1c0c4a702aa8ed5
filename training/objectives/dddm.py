"""Directly denoising diffusion (DDDM, arXiv:2405.13540, algorithm 1; VP and VE: arXiv:2405.21059).

    x_t = Psi x_0 + R z      y = f(x_hat_i, x_t, t)      x_hat_i <- y
    loss = w d(y, x_0) + (1 - w) d(y, x_hat_i),     w = max(1 / (n + 1), guide_floor) in epoch n = 0, 1, ...

x_hat_i is what the network made of image i an epoch before, N(0, I) at the start; no gradient flows through it. f is
EpsNet.estimate. The paper has guide_floor = 0 and tells the network x_hat_i as it is; with model.context_noise it is
told a noised x_hat_i (EpsNet.told), which is a variant of ours. The distances d, means over pixels:

    mse                    (a - b)^2
    pseudo_huber           sqrt((a - b)^2 + c^2) - c
    adaptive_pseudo_huber  the same with c / (n + 1)
    pseudo_lpips           sqrt(LPIPS(a, b)^2 + c^2) - c, images below 256 pixels enlarged to 224
"""

import functools

import jax
import jax.numpy as jnp

from models.lpips import lpips, upscaled
from models.lpips_weights import load_params
from sde_lib.base import normal_per_example
from training.objectives.base import Objective

DISTANCES = ("mse", "pseudo_huber", "adaptive_pseudo_huber", "pseudo_lpips")
"""Values of config.training.loss."""


def pseudo(square, c):
    """sqrt(square + c^2) - c without cancellation, elementwise."""
    return square / (jnp.sqrt(square + c**2) + c)


class DirectDenoising(Objective):
    """ValueError for a network whose prediction is not "direct", and for an unknown distance."""

    remembers = True

    def __init__(self, config, eps_net):
        training = config.training
        if eps_net.prediction != "direct":
            raise ValueError("config.training.objective='dddm' trains a network with config.model.prediction=direct")
        if training.loss not in DISTANCES:
            raise ValueError(f"config.training.loss {training.loss!r} is unknown; use one of {', '.join(DISTANCES)}")
        self.net, self.sde, self.c, self.name = eps_net, eps_net.sde, training.loss_c, training.loss
        self.t_min = self.sde.chain_time(0, eps_net.chain)
        self.guide_floor = training.guide_floor
        self.lpips_net, self.lpips_path = training.lpips_net, training.lpips_path or None

    @functools.cached_property
    def lpips_params(self):
        """The weights of the perceptual distance, read when it is first used."""
        return load_params(self.lpips_net, self.lpips_path)

    def times(self, key, position, batch_size):
        fraction = (jax.random.uniform(key) + position / batch_size) % 1.0
        return self.sde.chain_time(jnp.floor(fraction * self.net.steps), self.net.chain)

    def distance(self, a, b, epoch):
        """d(a, b) of images (B, ...) in epochs (B,): (B,)."""
        if self.name == "pseudo_lpips":
            return pseudo(lpips(self.lpips_params, upscaled(a), upscaled(b), self.lpips_net) ** 2, self.c)
        square = ((a - b) ** 2).reshape(len(a), -1)
        if self.name == "mse":
            return square.mean(1)
        c = self.c / (epoch[:, None] + 1) if self.name == "adaptive_pseudo_huber" else self.c
        return pseudo(square, c).mean(1)

    def losses(self, params, x, keys, t, train=True, condition=None):
        """The guide loss of the first estimate, made from noise: what there is to measure without a memory."""
        told = normal_per_example(jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys), x.shape)
        return self.distance(self.estimate(params, x, keys, t, train, condition, told), x, 0 * t)

    def estimate(self, params, x, keys, t, train, condition, told):
        """y = f(told, x_t, t), the shape of x."""
        noise, dropout = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        x_t, _ = self.sde.perturb(noise, x, t)
        condition = (condition or {}) | {"context": told}
        return self.net.estimate(self.net.output(params, x_t, t, dropout if train else None, condition), x_t, t)

    def examine(self, params, x, keys, t, train=True, condition=None, recalled=None):
        """recalled: {"x_hat" (B, ...), "epoch" (B,)}. Seen are the new "estimate" (B, ...), and (B,) each the two
        distances and the mean absolute change of the estimate."""
        x_hat, epoch = recalled["x_hat"], recalled["epoch"]
        share, noise = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(jax.random.fold_in(k, 1)))(keys), 1, 0)
        told = self.net.told(x_hat, jax.vmap(jax.random.uniform)(share), noise)
        y = self.estimate(params, x, keys, t, train, condition, told)
        w = jnp.maximum(1 / (epoch + 1), self.guide_floor)
        guide, iteration = self.distance(y, x, epoch), self.distance(y, x_hat, epoch)
        y = jax.lax.stop_gradient(y)
        change = jnp.abs(y - x_hat).reshape(len(y), -1).mean(1)
        seen = {"estimate": y, "guide": guide, "iteration": iteration, "change": change}
        return w * guide + (1 - w) * iteration, seen
