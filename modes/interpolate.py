"""--mode=interpolate: a grid of images between pairs of images, by spherical interpolation of their latents.

Networks of classes and of low-resolution images are told those of the first image of a pair on the way back.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np

from linnet.engine.batches import first_images
from linnet.engine.generate import as_stored, save_picture
from linnet.engine.latents import Latents, slerp
from linnet.files.atomic import check_writable

PAIRS = 8
STEPS = 10


def run(experiment):
    """Writes interpolate.png to the folder of the mode: a pair of images in each row, from left to right."""
    config, latents = experiment.config, Latents(experiment)
    path = os.path.join(experiment.mode_folder("interpolate"), "interpolate.png")
    check_writable(path)
    batch = first_images(experiment, 2 * PAIRS)
    u_T, _ = latents.encode(batch)
    between = interpolate(u_T[: len(u_T) // 2 * 2], experiment.sde)
    first = jax.tree.map(lambda a: np.repeat(a[: 2 * len(between) : 2], STEPS, axis=0), batch)
    x, nfe = latents.decode(between.reshape(-1, *between.shape[2:]), first)
    save_picture(as_stored(x, config), path, columns=STEPS)
    print(f"{len(between)} pairs of {config.eval.image_split} images, {STEPS} steps, nfe {nfe}: {path}")


def interpolate(u_T, sde):
    """Latents (2 n, ...) -> (n, STEPS, ...) between rows 2 i and 2 i + 1, interpolated in units of the prior."""
    std = np.repeat(sde.prior_std(), u_T.shape[-1] // sde.k).astype(u_T.dtype)
    path = jax.vmap(jax.vmap(slerp, (None, None, 0)), (0, 0, None))
    return np.asarray(path(u_T[::2] / std, u_T[1::2] / std, jnp.linspace(0, 1, STEPS)) * std)
