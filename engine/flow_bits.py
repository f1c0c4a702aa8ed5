"""Bits per dimension by the probability flow, for --mode=eval.

Images are dequantised as score_sde does: grey level v of 256 is x = (v + U(0, 1)) / 256, scaled to the range of the
model, so that -log2 of the width of a level (2 / 256 or 1 / 256) is added to the bits of the density of x. In the mean
this bounds the bits of the discrete images; for CLD the draw of v makes it a bound as well (see samplers.likelihood).
Points are not quantised: their bits are those of the density.

Of K > 1 draws the mean of log w_k, w_k = p(x + u_k, v_k) / q(u_k, v_k), is the usual bound, and log (1/K) sum_k w_k one
that is never looser and approaches the bits of the discrete images (arXiv:1509.00519): the difference is what
dequantisation costs. All draws of an image share the probe of the trace, whose error is then common to them: noise of
its own in each term would pass for likelihood.
"""

import os
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.devices import parallel
from linnet.engine.latents import arrived, flow_begin
from linnet.files.atomic import atomic_write
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers.base import EpsFunction, require
from linnet.samplers.likelihood import Likelihood, bits_per_dim, complete, importance_weighted
from linnet.training.conditions import make_conditions

GREY_LEVELS = 256


class FlowBits:
    """measure: of the images of a batch. finish: writes bits_per_dim.npy (images, repeats)."""

    def __init__(self, config, sde, eps_net, shape):
        require(eps_net.bind(None), EpsFunction)
        self.config = config
        self.sde = sde
        self.shape = shape
        self.repeats = config.eval.bpd_repeats
        if self.repeats < 1:
            raise ValueError(f"config.eval.bpd_repeats={self.repeats} must be at least 1")
        self.size = int(np.prod(shape))
        self.quantised = len(shape) == 3 and not config.data.latents
        self.width = level_width(config.data.centered) if self.quantised else 1.0
        self.t_min = flow_begin(config, eps_net)
        self._bits = self._mapped(eps_net)

    def _mapped(self, eps_net):
        """(params, batch, repeat) -> (bits per dimension, evaluations) of each image."""
        config = self.config
        sde = self.sde
        settings = config.eval
        likelihood = Likelihood(
            sde, t_min=self.t_min, estimator=settings.bpd_estimator, tolerance=settings.flow_tolerance
        )
        conditions = make_conditions(config)
        centered = config.data.centered

        def bits(params, batch, repeat):
            keys, first = (key_for(config.seed, Purpose.LIKELIHOOD, k, batch["index"]) for k in (repeat, 0))
            condition = conditions(batch, transforms.to_model_range(batch["image"], centered=centered), None)
            dequantize = fold(keys, Part.DEQUANTISATION)
            x = transforms.to_model_range(batch["image"], centered=centered, dequantize_keys=dequantize)
            u_0, log_q = complete(sde, fold(keys, Part.VELOCITY), x)
            density = likelihood(eps_net.bind(params, condition), fold(first, Part.PROBE), u_0)
            return bits_per_dim(density.logp - log_q, self.size, self.width), density.nfe

        return parallel.parallel(bits)

    def measure(self, params: dict[str, Any], batch: dict[str, Any], kept: int) -> dict[str, Any]:
        """{"bits" (kept, repeats), "evaluations" (repeats,)} of the first `kept` images of a sharded batch."""
        repeats, evaluations = [], []
        for repeat in range(self.repeats):
            values, nfe = arrived(*self._bits(params, batch, parallel.replicate(np.int32(repeat))))
            repeats.append(values[:kept])
            evaluations.append(nfe)
        return {"bits": np.stack(repeats, axis=1), "evaluations": np.array(evaluations)}

    def of_images(self, measured: dict[str, np.ndarray]) -> np.ndarray:
        """Bits per dimension (kept,) of what `measure` returned."""
        return measured["bits"].mean(axis=1)

    def finish(self, found: dict[str, Any], folder: str) -> dict[str, Any]:
        """Fields of the report. found: {name: [array of each batch]} of what was measured."""
        config = self.config
        bits = np.concatenate(found["bits"])
        with atomic_write(os.path.join(folder, "bits_per_dim.npy")) as file:
            np.save(file, bits)
        tighter = float(importance_weighted(bits, self.size).mean())
        return {
            "bits_per_dim": float(bits.mean()),
            **({"bits_per_dim_importance": tighter} if self.repeats > 1 else {}),
            "standard_error": float(bits.mean(1).std() / np.sqrt(len(bits))),
            "std_of_repeats": float(bits.mean(0).std()),
            "quantity": self.quantity(),
            "offset": float(-np.log2(self.width)),
            "estimator": config.eval.bpd_estimator,
            "repeats": self.repeats,
            "nfe": int(np.max(found["evaluations"])),
            "t_min": self.t_min,
            "tolerance": config.eval.flow_tolerance,
            "warning": warning(config) if self.quantised else "",
        }

    def quantity(self) -> str:
        """What the bits are of."""
        density = f"log density of {'points' if len(self.shape) == 1 else 'latents'}"
        words = ["uniformly dequantised images" if self.quantised else density]
        return ", ".join(words + ["bound on x by log p(x, v) - log q(v)"] * (self.sde.k > 1))

    def summary(self, report: dict[str, Any]) -> str:
        """The bits with what they are, for people."""
        text = f"{report['bits_per_dim']:.4f} +- {report['standard_error']:.4f} bits/dim ({report['quantity']}), "
        if report["repeats"] > 1:
            text += f"{report['bits_per_dim_importance']:.4f} by importance weighting of K={report['repeats']} draws, "
        return text + f"{report['estimator']} trace, nfe {report['nfe']}"


def level_width(centered: bool) -> float:
    """Width of a grey level in the range of the model."""
    return (2 if centered else 1) / GREY_LEVELS


def warning(config: ConfigDict) -> str:
    """Empty for networks that were trained on what is evaluated."""
    if config.data.uniform_dequantization:
        return ""
    return "trained without data.uniform_dequantization: the density at the dequantised images is not what was learned"
