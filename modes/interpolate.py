"""--mode=interpolate: a grid of images between pairs of images, by spherical interpolation of their latents.

The images are drawn by the seed, and one of the first half goes with one of the second: of sorted images, with another
class. Networks of classes and of low-resolution images are given those of the first image of a pair on the way back.
"""

import os

import jax
import numpy as np

from linnet.data.source import Drawn
from linnet.devices import processes
from linnet.engine.batches import first_images
from linnet.engine.experiment import Experiment
from linnet.engine.latents import Latents
from linnet.engine.pictures import save_picture
from linnet.files.atomic import check_writable
from linnet.samplers.interpolation import interpolate

PAIRS = 8
STEPS = 10


def run(experiment: Experiment) -> None:
    """Writes interpolate.png to the folder of the mode: a pair of images in each row, from left to right."""
    config, sde = experiment.config, experiment.sde
    latents = Latents(config, sde, experiment.carried, experiment.sampler, experiment.trained.params)
    path = os.path.join(experiment.results("interpolate"), "interpolate.png")
    check_writable(path)
    source = Drawn(experiment.evaluated(), 2 * PAIRS, config.seed)
    pairs = np.arange(len(source) // 2 * 2).reshape(2, -1)
    if processes.count() > 1:
        processes.check_same("their config, images or checkpoint", experiment.provenance(), source.fingerprint())
    batch = first_images(source, pairs.size, config.data.num_workers)
    u_T, _ = latents.encode_dealt(batch)
    between = interpolate(u_T[pairs.T.ravel()], sde, STEPS)
    first = jax.tree.map(lambda a: np.repeat(a[pairs[0]], STEPS, axis=0), batch)
    x, nfe = latents.decode_dealt(between.reshape(-1, *between.shape[2:]), first)
    if not processes.is_first():
        return
    save_picture(experiment.stored(x), path, columns=STEPS)
    print(f"{len(between)} pairs of {config.eval.image_split} images, {STEPS} steps, nfe {nfe}: {path}")
