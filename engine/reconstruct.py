"""Images noised to a level and denoised back, and how far they come from where they were, for --mode=ood.

With u_t ~ N(Psi(t, 0) lift(x), Sigma(t)) at t = recon_factor T and x^ the end of the sampler that starts from u_t,

    l1 = mean |x^ - x|,   l2 = mean (x^ - x)^2,   huber = mean of (x^ - x)^2 / 2 within 1, |x^ - x| - 1/2 beyond,
    loss = mean (eps(u_t, t) - eps)^2,            lpips = LPIPS(x^, x) by AlexNet

over the pixels of an image in the range of the model (Graham et al. 2023, arXiv:2211.07740; as GenerativeZoo scores).
On a discrete chain t is that of step int(recon_factor N) - 1. Networks of classes are given none.
"""

from typing import Any

import jax.numpy as jnp
import optax

from linnet import samplers
from linnet.arrays import Array
from linnet.data import transforms
from linnet.devices import parallel
from linnet.models.guidance import NO_CLASS
from linnet.models.lpips import lpips, upscaled
from linnet.models.lpips_weights import load_params
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers.base import EpsFunction, require
from linnet.sde_lib.base import LinearSDE

NET = "alex"
SCORES = ("l1", "l2", "huber", "loss")
PERCEPTUAL = ("lpips", "l2_lpips")
"""Names of the scores, and of those with config.ood.lpips."""


class Reconstruct:
    """reconstruct(params, batch, level) -> ({score: (B,)}, images (B, H, W, C) uint8); batch: sharded, see `run`.

    ValueError for a network, process or level that cannot be reconstructed with config.sampling, and for weights of
    LPIPS that are not there.
    """

    def __init__(self, config, sde, eps_net):
        require(eps_net.bind(None), EpsFunction)
        if config.model.get("super_resolution", False):
            raise ValueError("--mode=ood is for networks that see the image alone: config.model.super_resolution=False")
        self.config = config
        self.sde = sde
        self.eps_net = eps_net
        self.weights = parallel.replicate(load_params(NET, config.ood.lpips_path or None)) if config.ood.lpips else None
        self.levels = [self._level(number, factor) for number, factor in enumerate(config.ood.recon_factor)]

    def __call__(self, params: dict[str, Any], batch: dict[str, Any], level: int) -> tuple[dict[str, Array], Array]:
        """({score: (B,)}, images uint8) of a sharded batch at the level of this number."""
        return self.levels[level](params, batch, self.weights)

    def _level(self, number, factor):
        """The mapped function of one level."""
        config = self.config
        sde = ended(self.sde, factor)
        sampler = samplers.get_sampler(config, sde, self.eps_net.bind(None))
        t = sde.last_time

        def there_and_back(params, batch, weights):
            x = transforms.to_model_range(batch["image"], centered=config.data.centered)
            keys = key_for(config.seed, Purpose.RECONSTRUCTION, number, batch["index"])
            condition = {"label": jnp.full(len(x), NO_CLASS)} if config.model.get("num_classes", 0) else {}
            network = self.eps_net.bind(params, condition)
            times = jnp.full(len(x), t, x.dtype)
            u, eps = sde.perturb(fold(keys, Part.PRIOR), sde.lift(x), times)
            found = sde.project(sampler(network, fold(keys, Part.NOISE), u).u)
            scores = errors(found, x) | {"loss": image_mean((network(u, times) - eps) ** 2)}
            if weights is not None:
                distance = perceptual(weights, found, x, config.data.centered)
                scores |= dict(zip(PERCEPTUAL, (distance, scores["l2"] + distance), strict=True))
            return scores, transforms.to_uint8(found, config.data.centered)

        return parallel.parallel(there_and_back)


def errors(found: Array, x: Array) -> dict[str, Array]:
    """{"l1", "l2", "huber": (B,)} of images found for x (B, H, W, C)."""
    maps = {"l1": jnp.abs(found - x), "l2": (found - x) ** 2, "huber": optax.huber_loss(found, x)}
    return {name: image_mean(of) for name, of in maps.items()}


def image_mean(a: Array) -> Array:
    """Means (B,) over all but the batch."""
    return a.reshape(len(a), -1).mean(1)


def perceptual(weights: Any, a: Array, b: Array, centered: bool) -> Array:
    """LPIPS (B,) of images in the range of the model; small ones are enlarged."""
    a, b = (upscaled(x if centered else 2 * x - 1) for x in (a, b))
    return lpips(weights, a, b, NET)


def ended(sde: LinearSDE, factor: float, key: str = "config.ood.recon_factor") -> LinearSDE:
    """The process until `factor` of its time, on a chain until step int(factor N) - 1. ValueError for too little."""
    if sde.chain is None:
        return sde.until(factor * sde.T)
    step = int(factor * sde.chain.n + 1e-9) - 1
    if step < 1:
        raise ValueError(f"{key}={factor} leaves {step + 1} steps of the chain of {sde.chain.n}")
    return sde.until(float(sde.chain.times[step]))
