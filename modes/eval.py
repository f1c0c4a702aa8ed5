"""--mode=eval: the training loss in bins of time and bits per dimension, on the images of config.eval.image_split.

Images are dequantised as score_sde does: grey level v of 256 is x = (v + U(0, 1)) / 256, scaled to the range of the
model, so that -log2 of the width of a level (2 / 256 or 1 / 256) is added to the bits of the density of x. In the mean
this bounds the bits of the discrete images; for CLD the draw of v makes it a bound as well (see samplers.likelihood).
Points are not quantised: their bits are those of the density.
"""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np

from data import transforms
from data.pipeline import one_pass, permutation
from evaluation.atomic import atomic_write
from modes.latents import arrived, check_unconditional, flow_begin
from modes.sample import progress
from samplers.likelihood import Likelihood, bits_per_dim, complete
from training import parallel
from training.objectives import get_objective

BINS = 10
GREY_LEVELS = 256


def run(experiment):
    """Prints the result and writes eval.json and bits_per_dim.npy (images, repeats) to the folder of the mode."""
    config, folder = experiment.config, experiment.mode_folder("eval")
    check_unconditional(config)
    params, total = parallel.replicate(experiment.trained), number_of_images(experiment)
    loss, bits_of, order = loss_function(experiment), bits_function(experiment), permutation(config.seed, 0, total)
    drawn, bits, nfe = [], [], 0
    for index, images, kept in progress(list(fixed_batches(experiment, total)), "evaluating"):
        images, numbers = parallel.shard(images), parallel.shard(index)
        drawn.append([parallel.unshard(a)[:kept] for a in loss(params, images, numbers, parallel.shard(order[index]))])
        repeats = []
        for repeat in range(config.eval.bpd_repeats):
            values, most = arrived(*bits_of(params, images, numbers, parallel.replicate(np.int32(repeat))))
            repeats.append(values[:kept])
            nfe = max(nfe, most)
        bits.append(np.stack(repeats, axis=1))
    t, losses, weights = map(np.concatenate, zip(*drawn, strict=True))
    bits = np.concatenate(bits)
    report = describe(experiment, bits, nfe) | {
        "loss": float((losses * weights).mean()),
        "loss_bins": in_bins(t, losses, get_objective(config, experiment.eps_net)),
    }
    with atomic_write(os.path.join(folder, "bits_per_dim.npy")) as file:
        np.save(file, bits)
    with atomic_write(os.path.join(folder, "eval.json")) as file:
        file.write(json.dumps(report, indent=2).encode())
    print(summary(report, folder))


def number_of_images(experiment):
    """config.eval.num_images, where 0 and more than there are stand for the whole split."""
    available = len(experiment.dataset(experiment.config.eval.image_split))
    return min(experiment.config.eval.num_images or available, available)


def fixed_batches(experiment, total):
    """(index, images, how many rows count) in batches of one size: the last is filled up with images it holds."""
    config = experiment.config
    source, devices = experiment.dataset(config.eval.image_split), jax.device_count()
    parallel.check_batch(config.eval.batch_size, "config.eval.batch_size")
    size = min(config.eval.batch_size, -(-total // devices) * devices)
    for k, batch in enumerate(one_pass(source, size, num_workers=config.data.num_workers)):
        kept = min(size, total - k * size)
        if kept <= 0:
            return
        rows = np.arange(size) % kept
        yield (k * size + rows).astype(np.int32), batch["image"][rows], kept


def keys_of(seed, index, repeat):
    """Three keys for each image (B, 3): image and repeat decide them, not the batch."""
    key = jax.random.fold_in(jax.random.key(seed), repeat)
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i), 3))(index)


def loss_function(experiment):
    """(params, images, index, position) -> (times, losses, weights) of each image; times are even over positions."""
    config, total = experiment.config, number_of_images(experiment)
    objective = get_objective(config, experiment.eps_net)

    def losses(params, images, index, position):
        t, weights = objective.draw(objective.init(), jax.random.key(config.seed), position, total)
        x = transforms.to_model_range(images, centered=config.data.centered)
        keys = keys_of(config.seed, index, 0)
        return t, objective.losses(params, x, keys[:, 0], t, train=False), weights

    return parallel.parallel(losses)


def bits_function(experiment):
    """(params, images, index, repeat) -> (bits per dimension, evaluations) of each image."""
    config, sde, eps_net = experiment.config, experiment.sde, experiment.eps_net
    likelihood = Likelihood(
        sde,
        t_min=flow_begin(experiment),
        estimator=config.eval.bpd_estimator,
        tolerance=config.eval.flow_tolerance,
    )
    size, width = int(np.prod(experiment.shape)), level_width(experiment)

    def bits(params, images, index, repeat):
        dequantize, add, probe = jnp.moveaxis(keys_of(config.seed, index, repeat), 1, 0)
        x = transforms.to_model_range(images, centered=config.data.centered, dequantize_keys=dequantize)
        u_0, log_q = complete(sde, add, x)
        density = likelihood(eps_net.bind(params), probe, u_0)
        return bits_per_dim(density.logp - log_q, size, width), density.nfe

    return parallel.parallel(bits)


def level_width(experiment):
    """Width of a grey level in the range of the model; 1 for points, which are not quantised."""
    span = 2 if experiment.config.data.centered else 1
    return span / GREY_LEVELS if len(experiment.shape) == 3 else 1.0


def in_bins(t, losses, objective):
    """The mean loss in each of BINS equal parts of the objective's times; parts without an example are left out."""
    edges = np.linspace(objective.t_min, objective.sde.T, BINS + 1)
    member = np.clip(np.digitize(t, edges) - 1, 0, BINS - 1)
    return [
        {"t": [round(float(a), 5) for a in edges[i : i + 2]], "loss": float(losses[member == i].mean()), "n": int(n)}
        for i, n in enumerate(np.bincount(member, minlength=BINS))
        if n
    ]


def describe(experiment, bits, nfe):
    """The fields of the report about bits (images, repeats), with what decides them."""
    config, sde = experiment.config, experiment.sde
    quantity = ["log density of points" if len(experiment.shape) == 1 else "uniformly dequantised images"]
    quantity += ["bound on x by log p(x, v) - log q(v)"] * (sde.k > 1)
    per_image, per_repeat = bits.mean(1), bits.mean(0)
    return {
        "bits_per_dim": float(bits.mean()),
        "standard_error": float(per_image.std() / np.sqrt(len(bits))),
        "std_of_repeats": float(per_repeat.std()),
        "quantity": ", ".join(quantity),
        "offset": float(-np.log2(level_width(experiment))),
        "estimator": config.eval.bpd_estimator,
        "repeats": config.eval.bpd_repeats,
        "n": len(bits),
        "split": config.eval.image_split,
        "nfe": nfe,
        "t_min": flow_begin(experiment),
        "tolerance": config.eval.flow_tolerance,
        "checkpoint": os.path.basename(os.path.normpath(experiment.checkpoint)),
        "params": config.eval.params,
        "seed": config.seed,
        "warning": warning(config, len(experiment.shape)),
    }


def warning(config, axes):
    """Empty for points, and for networks that were trained on what is evaluated."""
    if axes == 1 or config.data.uniform_dequantization:
        return ""
    return "trained without data.uniform_dequantization: the density at the dequantised images is not what was learned"


def summary(report, folder):
    """Two lines: the bits with what they are, the losses."""
    bins = " ".join(f"{part['loss']:.3g}" for part in report["loss_bins"])
    return (
        f"{report['bits_per_dim']:.4f} +- {report['standard_error']:.4f} bits/dim ({report['quantity']}), "
        f"{report['estimator']} trace, {report['repeats']} repeats, {report['n']} {report['split']} examples, "
        f"nfe {report['nfe']}\nloss {report['loss']:.4g}, in {BINS} bins of t: {bins} | everything in {folder}"
        + f"\nwarning: {report['warning']}"
        * bool(report["warning"])
    )
