"""--mode=eval: the training loss in bins of time and bits per dimension, on the images of config.eval.image_split.

config.eval.likelihood says how bits are found: "flow", see engine.flow_bits, or "bound", see engine.bound_bits.
Networks of classes and of low-resolution images are told those of the image itself.
"""

import json
import os

import numpy as np

from linnet.data import transforms
from linnet.data.keys import seed_key
from linnet.data.pipeline import permutation
from linnet.devices import parallel
from linnet.engine.batches import batch_size, fixed_batches, keys_of, number_of_images
from linnet.engine.bound_bits import BoundBits
from linnet.engine.flow_bits import FlowBits
from linnet.engine.latents import ON_CHAIN
from linnet.engine.progress import progress
from linnet.files.atomic import atomic_write, check_writable
from linnet.training.conditions import make_conditions

BINS = 10
LIKELIHOODS = {"flow": FlowBits, "bound": BoundBits}


def run(experiment):
    """Prints the result; writes eval.json, and what the likelihood has to say, to the folder of the mode."""
    config, total, name = experiment.config, number_of_images(experiment), likelihood(experiment.config)
    bits, losses = LIKELIHOODS[name](experiment), Losses(experiment, total)
    params, order = parallel.replicate(experiment.trained), permutation(config.seed, 0, total)
    folder = experiment.mode_folder("eval", f"{name}_{config.eval.params}_{config.eval.image_split}")
    check_writable(os.path.join(folder, "eval.json"))
    batches = -(-total // batch_size(experiment, total))
    for batch, kept in progress(fixed_batches(experiment, total), f"evaluating {total} images", batches):
        batch = parallel.shard(batch | {"position": order[batch["index"]]})
        for part in (losses, bits):
            part.add(params, batch, kept)
    report = bits.finish(folder) | losses.finish() | describe(experiment, total)
    with atomic_write(os.path.join(folder, "eval.json")) as file:
        file.write(json.dumps(report, indent=2).encode())
    by_time = " ".join("-" if part["loss"] is None else f"{part['loss']:.3g}" for part in report["loss_bins"])
    print(
        f"{bits.summary(report)}, {total} {config.eval.image_split} examples\n"
        f"loss {report['loss']:.4g}, in {BINS} bins of t: {by_time} | everything in {folder}"
    )
    if report["warning"]:
        print(f"warning: {report['warning']}")


def likelihood(config):
    """The key of LIKELIHOODS that config.eval.likelihood names; "" is the one that suits the objective."""
    name = config.eval.likelihood or ("bound" if config.training.objective in ON_CHAIN else "flow")
    if name not in LIKELIHOODS:
        raise ValueError(f"config.eval.likelihood {name!r} is unknown; use one of {', '.join(LIKELIHOODS)}")
    return name


def describe(experiment, total):
    """What was evaluated, for the record."""
    config = experiment.config
    return {
        "n": total,
        "split": config.eval.image_split,
        "checkpoint": os.path.basename(os.path.normpath(experiment.checkpoint)),
        "parameters": experiment.parameter_hash,
        "params": experiment.kind,
        "seed": config.seed,
    }


class Losses:
    """The loss of config.training.objective of each image at one time; times are even over the positions < total."""

    def __init__(self, experiment, total):
        config = experiment.config
        self.objective = objective = experiment.objective
        self.drawn, conditions = [], make_conditions(config)

        def losses(params, batch):
            t, weights = objective.draw(objective.init(), seed_key(config.seed), batch["position"], total)
            x = transforms.to_model_range(batch["image"], centered=config.data.centered)
            keys, told = keys_of(config.seed, batch["index"], 0), conditions(batch, x, None)
            return t, objective.losses(params, x, keys[:, 0], t, train=False, condition=told), weights

        self._losses = parallel.parallel(losses)

    def add(self, params, batch, kept):
        """Counts the first `kept` images of a sharded batch."""
        self.drawn.append([parallel.unshard(a)[:kept] for a in self._losses(params, batch)])

    def finish(self):
        """Fields of the report: the mean, and the mean in each of BINS equal parts of the times, None in empty ones."""
        t, losses, weights = map(np.concatenate, zip(*self.drawn, strict=True))
        edges = np.linspace(self.objective.t_min, self.objective.t_max, BINS + 1)
        member = np.clip(np.digitize(t, edges) - 1, 0, BINS - 1)
        bins = [
            {
                "t": edges[i : i + 2].round(5).tolist(),
                "loss": float(losses[member == i].mean()) if n else None,
                "n": int(n),
            }
            for i, n in enumerate(np.bincount(member, minlength=BINS))
        ]
        return {"loss": float((losses * weights).mean()), "loss_bins": bins}
