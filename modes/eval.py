"""--mode=eval: the training loss in bins of time and bits per dimension, on the images of config.eval.image_split.

Images are dequantised as score_sde does: grey level v of 256 is x = (v + U(0, 1)) / 256, scaled to the range of the
model, so that -log2 of the width of a level (2 / 256 or 1 / 256) is added to the bits of the density of x. The result is
a bound in the mean on the bits of the discrete images; for CLD also by the draw of v (see samplers.likelihood). Points
are not quantised: their bits are those of the density.
"""

import json
import os

import jax
import numpy as np

from data import pipeline, transforms
from evaluation.atomic import atomic_write
from modes.latents import arrived, flow_begin
from modes.sample import progress
from samplers.likelihood import Likelihood, bits_per_dim, complete
from training import parallel
from training.objectives import get_objective

BINS = 10
GREY_LEVELS = 256


def run(experiment):
    """Prints the result and writes eval.json and bits_per_dim.npy (images, repeats) to the folder of the mode."""
    config, folder = experiment.config, experiment.mode_folder("eval")
    params, tests = parallel.replicate(experiment.trained), (loss_function(experiment), bits_function(experiment))
    losses, bits, nfe = [], [], 0
    for index, images, kept in progress(list(test_batches(experiment)), "evaluating"):
        arguments = params, parallel.shard(images), parallel.shard(index)
        losses.append([parallel.unshard(a)[:kept] for a in tests[0](*arguments)])
        repeats = []
        for repeat in range(config.eval.bpd_repeats):
            number = parallel.replicate(np.int32(repeat))
            values, most = arrived(*tests[1](*arguments, number))
            repeats.append(values[:kept])
            nfe = max(nfe, most)
        bits.append(np.stack(repeats, axis=1))
    bits, t, losses, weights = np.concatenate(bits), *map(np.concatenate, zip(*losses, strict=True))
    report = describe(experiment, bits, nfe) | {
        "loss": float((losses * weights).mean()),
        "loss_bins": in_bins(t, losses, get_objective(config, experiment.eps_net)),
    }
    with atomic_write(os.path.join(folder, "bits_per_dim.npy")) as file:
        np.save(file, bits)
    with atomic_write(os.path.join(folder, "eval.json")) as file:
        file.write(json.dumps(report, indent=2).encode())
    print(summary(report, folder))


def test_batches(experiment):
    """(index, images, number of rows that count): fixed batches of the first images, the last one filled up."""
    config = experiment.config
    source = experiment.dataset(config.eval.image_split)
    n, devices = min(config.eval.num_images or len(source), len(source)), jax.device_count()
    parallel.check_batch(config.eval.batch_size, "config.eval.batch_size")
    size = min(config.eval.batch_size, -(-n // devices) * devices)
    for k, batch in enumerate(pipeline.one_pass(source, size, num_workers=config.data.num_workers)):
        kept = min(size, n - k * size)
        if kept <= 0:
            return
        rows = np.arange(size) % len(batch["image"])
        yield k * size + np.arange(size, dtype=np.int32), batch["image"][rows], kept


def loss_function(experiment):
    """(params, images, index) -> (times, losses, weights) of each image, at times spread evenly over the batches."""
    config = experiment.config
    objective = get_objective(config, experiment.eps_net)
    total = len(experiment.dataset(config.eval.image_split))

    def losses(params, images, index):
        times, noise = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), 0))
        t, weights = objective.draw(objective.init(), times, (index * GOLDEN_STRIDE) % total, total)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(noise, index)
        x = transforms.to_model_range(images, centered=config.data.centered)
        return t, objective.losses(params, x, keys, t, train=False), weights

    return parallel.parallel(losses)
