"""Images changed by a trained network, for --mode=edit.

noise   SDEdit (arXiv:2108.01073): u_t ~ N(Psi(t, 0) u_0, Sigma(t)), and the sampler from there to an image. The
        further, the more is lost. The noise of an image is the same at all strengths.
flow    along the probability flow to u_T as the image's own class and back as another, both exact (DDIM's encoding
        where config.sampling.method=ddim)
"""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.data.source import Source
from linnet.engine.batches import in_batches
from linnet.engine.chosen_images import class_numbers, own_classes
from linnet.engine.latents import Latents
from linnet.engine.reconstruct import ended
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers import get_sampler

if TYPE_CHECKING:
    from linnet.engine.experiment import Experiment

STRENGTHS = (0.2, 0.4, 0.6, 0.8)


def noised(experiment: "Experiment", source: Source, batch: dict[str, Any]) -> dict[str, tuple[np.ndarray, int]]:
    """{column: (images (n, H, W, C) in the range of the model, evaluations)} for each of config.edit.strength."""
    config, classes = experiment.config, experiment.guided.classes
    numbers = class_numbers(config, config.edit, classes, experiment.conditions, source, batch["index"])
    batch = batch | {"label": numbers}
    shares = config.edit.strength or STRENGTHS
    return {f"{share:g}": noised_to(experiment, batch, share) for share in shares}


def noised_to(experiment: "Experiment", batch: dict[str, Any], share: float) -> tuple[np.ndarray, int]:
    """(images, evaluations) by way of this share of the time. ValueError for one that leaves no step."""
    config = experiment.config
    sde = ended(experiment.sde, share, "config.edit.strength")
    sampler = get_sampler(config, sde, experiment.carried.bind(None))
    guided = experiment.guided

    def edited(weights, batch):
        x = transforms.to_model_range(batch["image"], centered=config.data.centered)
        keys = key_for(config.seed, Purpose.EDITING, batch["index"])
        u, _ = sde.perturb(fold(keys, Part.PRIOR), sde.lift(x), jnp.full(len(x), sde.last_time, x.dtype))
        condition = {"label": batch["label"]} if guided.classes[0] else {}
        samples = sampler(guided.bind(weights, condition), fold(keys, Part.NOISE), u)
        return {"x": sde.project(samples.u), "nfe": jnp.full(len(x), samples.nfe)}

    found = in_batches(edited, experiment.weights, batch, config.eval.batch_size, f"strength {share:g}")
    return found["x"], int(found["nfe"].max())


def transferred(experiment: "Experiment", source: Source, batch: dict[str, Any]) -> dict[str, tuple[np.ndarray, int]]:
    """{column: (images, evaluations of the slowest both ways)}: as their own class, and as each of the others."""
    config = experiment.config
    advice = "config.edit.method=flow is for those of the data"
    own = own_classes(config.edit, experiment.guided.classes, source, batch["index"], advice)
    batch = batch | {"label": own}
    latents = Latents(config, experiment.sde, experiment.carried, experiment.sampler, experiment.trained.params)
    u_T, there = latents.encode_dealt(batch)
    x, back = latents.decode_dealt(u_T, batch)
    columns = {"own": (x, there + back)}
    for number in experiment.conditions.chosen:
        relabelled = batch | {"label": np.full_like(own, number)}
        x, back = latents.decode_dealt(u_T, relabelled)
        columns[experiment.conditions.names[number]] = x, there + back
    return columns


METHODS = {"noise": noised, "flow": transferred}


def check(config: ConfigDict, is_guided: bool) -> None:
    """ValueError for keys that mean nothing to config.edit.method, and for a network without classes to change."""
    method, strength = config.edit.method, config.edit.strength
    if method == "flow":
        if not config.model.get("num_classes", 0):
            raise ValueError(
                "config.edit.method=flow changes the class: it needs a network of classes (config.model.num_classes)"
            )
        if is_guided:
            raise ValueError(
                "config.sampling.guidance means nothing to config.edit.method=flow, nor do classifier and guide"
            )
        if strength:
            raise ValueError("config.edit.strength means nothing to config.edit.method=flow: leave it out")
