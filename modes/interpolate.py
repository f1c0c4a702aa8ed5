"""--mode=interpolate: a grid of images between pairs of images, by spherical interpolation of their latents."""

import os

import jax
import jax.numpy as jnp
import numpy as np

from modes.generate import save_picture
from modes.latents import Latents, as_pictures, first_images, slerp

PAIRS = 8
STEPS = 10


def run(experiment):
    """Writes interpolate.png to the folder of the mode: a pair of images in each row, from left to right."""
    config = experiment.config
    latents = Latents(experiment)
    u_T, _ = latents.encode(first_images(experiment, 2 * PAIRS))
    between = interpolate(u_T[: len(u_T) // 2 * 2], experiment.sde)
    x, nfe = latents.decode(between.reshape(-1, *between.shape[2:]))
    path = os.path.join(experiment.mode_folder("interpolate"), "interpolate.png")
    save_picture(as_pictures(x, config), path, columns=STEPS)
    print(f"{len(between)} pairs of {config.eval.image_split} images, {STEPS} steps, nfe {nfe}: {path}")


def interpolate(u_T, sde):
    """Latents (2 n, ...) -> (n, STEPS, ...) between rows 2 i and 2 i + 1, interpolated in units of the prior."""
    std = np.repeat(sde.prior_std(), u_T.shape[-1] // sde.k).astype(u_T.dtype)
    path = jax.vmap(jax.vmap(slerp, (None, None, 0)), (0, 0, None))
    return np.asarray(path(u_T[::2] / std, u_T[1::2] / std, jnp.linspace(0, 1, STEPS)) * std)
