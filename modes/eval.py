"""--mode=eval: the training loss in bins of time and bits per dimension, on the images of config.eval.image_split.

Of config.eval.num_images of them, drawn by the seed; 0: of all.

config.eval.likelihood says how bits are found: "flow", see engine.flow_bits, or "bound", see engine.bound_bits.
Networks of classes and of low-resolution images are given those of the image itself. Under another process than its own
(config.network_sde) a network has the bits of the flow there, and its training loss.
"""

import os
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet import registry
from linnet.data.source import Drawn
from linnet.devices import parallel, processes
from linnet.engine.batches import batch_size, fixed_batches
from linnet.engine.bound_bits import BoundBits
from linnet.engine.experiment import Experiment
from linnet.engine.flow_bits import FlowBits
from linnet.engine.losses import BINS, Losses
from linnet.engine.parts import Parts, decisive
from linnet.engine.progress import progress
from linnet.files.atomic import check_writable
from linnet.files.json_files import write_json
from linnet.randomness import Purpose, key_for
from linnet.training.objectives import objective_class

LIKELIHOODS: dict[str, type[Any]] = {"flow": FlowBits, "bound": BoundBits}


def run(experiment: Experiment) -> None:
    """Prints the result; writes eval.json, and what the likelihood has to say, to the folder of the mode.

    The batches are dealt out to the processes; those that were measured before an end are not measured again.
    """
    config = experiment.config
    source = experiment.evaluated()
    if config.eval.num_images:
        source = Drawn(source, config.eval.num_images, config.seed)
    name = likelihood(config, experiment.is_carried)
    total = len(source)
    size = batch_size(config.eval.batch_size, total)
    bits = LIKELIHOODS[name](config, experiment.sde, experiment.carried, experiment.shape)
    losses = Losses(config, experiment.objective, total)
    params = parallel.replicate(experiment.trained.params)
    order = np.asarray(jax.random.permutation(key_for(config.seed, Purpose.EVALUATION_ORDER), total))
    folder = experiment.results("eval", f"{name}_{config.eval.params}_{config.eval.image_split}")
    check_writable(os.path.join(folder, "eval.json"))
    parts = Parts(folder, decisive(config, experiment.trained, source, total, size), -(-total // size))
    batches = fixed_batches(source, size, total, parts.mine, config.data.num_workers)
    for k, batch, kept in progress(batches, f"evaluating {total} images", len(parts.mine)):
        batch = parallel.shard(batch | {"position": order[batch["index"]]})
        parts.save(k, losses.measure(params, batch, kept) | bits.measure(params, batch, kept))
    found = parts.join()
    if not processes.is_first():
        return
    report = bits.finish(found, folder) | losses.finish(found) | experiment.provenance()
    report |= {"n": total, "split": config.eval.image_split}
    write_json(os.path.join(folder, "eval.json"), report)
    parts.remove()
    by_time = " ".join("-" if part["loss"] is None else f"{part['loss']:.3g}" for part in report["loss_bins"])
    print(
        f"{bits.summary(report)}, {total} {config.eval.image_split} examples\n"
        f"loss {report['loss']:.4g}, in {BINS} bins of t: {by_time} | everything in {folder}"
    )
    if report["warning"]:
        print(f"warning: {report['warning']}")


def likelihood(config: ConfigDict, is_carried: bool = False) -> str:
    """The key of LIKELIHOODS that config.eval.likelihood names; "" is the one that suits the objective.

    is_carried: the network is evaluated under another process than its own; "" is the flow then.
    """
    has_bound = objective_class(config).on_chain and not is_carried and not config.data.latents
    name = config.eval.likelihood or ("bound" if has_bound else "flow")
    registry.check(LIKELIHOODS, name, "config.eval.likelihood")
    return name
