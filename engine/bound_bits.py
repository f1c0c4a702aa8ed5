"""Bits per dimension by the variational bound of the discrete chain, for --mode=eval (see sde_lib.variational).

The reverse steps are those of sampling.method=ddpm: the network's own prediction and variance, config.sampling's
respacing, variance and clip_denoised in their place where they are set. All steps of the chain count, whatever
sampling.nfe is. It is the evaluation of improved DDPM (arXiv:2102.09672).
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.devices import parallel
from linnet.evaluation.curves import save_curves
from linnet.files.atomic import atomic_write
from linnet.randomness import Purpose, key_for
from linnet.samplers.ancestral import Ancestral
from linnet.sde_lib.variational import bound
from linnet.training.conditions import make_conditions

CURVES = {"bits": "L_i, bits/dim", "x_0_mse": "mean square error of x_0", "eps_mse": "mean square error of eps"}


class BoundBits:
    """measure: of the images of a batch. finish: writes bound.npz and bound.png. ValueError where there is no bound.

    bound.npz: total and prior (images,) in bits/dim; step (n,), the kept steps of the chain, with means over the images
    of bits (the terms L_i in bits/dim), x_0_mse and eps_mse, (n,) each.
    """

    def __init__(self, config, sde, eps_net, shape):
        check(config, sde, eps_net, shape)
        self.config, sampling = config, config.sampling
        self.respacing = sampling.respacing or ""
        self.variance = sampling.variance or eps_net.variance
        self.clip = sampling.clip_denoised is None or sampling.clip_denoised
        self.sampler = Ancestral(sde, respacing=self.respacing, variance=self.variance, clip_denoised=self.clip)
        self._terms = parallel.parallel(self.terms_function(eps_net))

    def terms_function(self, eps_net: Any) -> Callable[..., Any]:
        """(params, batch) -> (Terms of every step (B, n), prior term (B,))."""
        config = self.config
        conditions = make_conditions(config)

        def terms(params, batch):
            x_0 = transforms.to_model_range(batch["image"])
            network = self.sampler.check(eps_net.bind(params, conditions(batch, x_0, None)))
            reverse = functools.partial(self.sampler.reverse, network)
            keys = key_for(config.seed, Purpose.BOUND, batch["index"])
            found, prior = bound(self.sampler.chain, reverse, keys, x_0)
            return jax.tree.map(jnp.transpose, found), prior

        return terms

    def measure(self, params: dict[str, Any], batch: dict[str, Any], kept: int) -> dict[str, Any]:
        """{"total", "prior": (kept,), "sums": those of the terms (3, n)} of the first `kept` of a sharded batch."""
        terms, prior = jax.tree.map(lambda a: parallel.unshard(a)[:kept].astype(float), self._terms(params, batch))
        return {"total": terms.bits.sum(1) + prior, "prior": prior, "sums": np.stack(terms).sum(1)}

    def of_images(self, measured: dict[str, np.ndarray]) -> np.ndarray:
        """Bits per dimension (kept,) of what `measure` returned."""
        return measured["total"]

    def finish(self, found: dict[str, Any], folder: str) -> dict[str, Any]:
        """Fields of the report. found: {name: [array of each batch]} of what was measured."""
        total, prior = np.concatenate(found["total"]), np.concatenate(found["prior"])
        sums = np.sum(found["sums"], axis=0)
        step = self.sampler.chain.timestep_map
        means = dict(zip(CURVES, sums / len(total), strict=True))
        with atomic_write(os.path.join(folder, "bound.npz")) as file:
            np.savez_compressed(file, total=total, prior=prior, step=step, **means)
        panels = {title: means[key] for key, title in CURVES.items()}
        save_curves(os.path.join(folder, "bound.png"), step, panels, "step of the chain")
        return {
            "bits_per_dim": float(total.mean()),
            "standard_error": float(total.std() / np.sqrt(len(total))),
            "quantity": "variational bound on the bits of 8-bit images",
            "decoder": float(means["bits"][0]),
            "divergences": float(means["bits"][1:].sum()),
            "prior": float(prior.mean()),
            "x_0_mse": float(means["x_0_mse"].mean()),
            "eps_mse": float(means["eps_mse"].mean()),
            "nfe": len(step),
            "respacing": self.respacing,
            "variance": self.variance,
            "clip_denoised": self.clip,
            "warning": "",
        }

    def summary(self, report: dict[str, Any]) -> str:
        """The bits with what they are, for people."""
        parts = ", ".join(f"{key} {report[key]:.4f}" for key in ("decoder", "divergences", "prior"))
        return (
            f"{report['bits_per_dim']:.4f} +- {report['standard_error']:.4f} bits/dim ({report['quantity']}: {parts}), "
            f"{report['variance']} variance, nfe {report['nfe']}"
        )


def check(config: ConfigDict, sde: Any, eps_net: Any, shape: tuple[int, ...]) -> None:
    """ValueError for what has no such bound."""
    Ancestral.check(eps_net.bind(None))
    if not Ancestral.processes.accept(sde):
        raise ValueError(
            f"config.eval.likelihood='bound' is for processes with {Ancestral.processes.name}, which "
            f"config.sde.name={config.sde.name!r} does not have; use config.eval.likelihood=flow"
        )
    if len(shape) != 3 or not config.data.centered or config.data.latents:
        raise ValueError(
            "config.eval.likelihood='bound' is for 8-bit images with config.data.centered=True; "
            "use config.eval.likelihood=flow"
        )
