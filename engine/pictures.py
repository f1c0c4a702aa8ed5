"""Pictures of --mode=sample besides the grid: the way from noise to images, and low-resolution images with samples.

    denoise.png      in each row the states of one image at COLUMNS evenly chosen steps, and the image
    progressive.png  the x_0 that the network predicts from these states, and the image
    pairs.png        low-resolution image (pixels enlarged) and sample, side by side

Points have one panel of them all for each step in place of rows. States are clipped to the range of the model.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np

from linnet.data import transforms
from linnet.devices import parallel
from linnet.engine.generate import as_stored, background, make_draw, save_picture

COLUMNS = 10
IMAGES, POINTS = 8, 1024
PAIRS = 32
PAIRS_IN_ROW = 4


def save_trajectories(experiment, conditions, params, folder):
    """Writes denoise.png and progressive.png of the first images. params: replicated parameters."""
    config, project = experiment.config, jax.vmap(experiment.sde.project)
    draw = make_draw(experiment, experiment.sampler_with(trajectory=True))

    def visited(params, index, told):
        samples = draw(params, index, told)
        steps = len(samples.trajectory["x_0"])
        chosen = np.unique(np.linspace(0, steps - 1, COLUMNS).round().astype(int))
        x = experiment.sde.project(samples.u)[None]
        rows = (project(samples.trajectory["u"][chosen]), samples.trajectory["x_0"][chosen])
        return [jnp.concatenate([states, x]).swapaxes(0, 1) for states in rows]

    devices, wanted = jax.device_count(), IMAGES if len(experiment.shape) == 3 else POINTS
    index = np.arange(-(-wanted // devices) * devices, dtype=np.int32)
    found = parallel.parallel(visited)(params, *parallel.shard((index, conditions(index))))
    for name, states in zip(("denoise", "progressive"), found, strict=True):
        states = parallel.unshard(states)
        panels = states.swapaxes(0, 1) if states.ndim == 3 else states.reshape(-1, *states.shape[2:])
        path = os.path.join(folder, f"{name}.png")
        save_picture(as_stored(panels, config), path, columns=states.shape[1], data=background(experiment))


def save_pairs(low_res, images, path, centered):
    """low_res (n, h, w, C) in the range of the model, images (n, H, W, C) uint8 -> the PNG `path`."""
    enlarge = images.shape[1] // low_res.shape[1]
    low_res = transforms.to_uint8(low_res, centered).repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    pairs = np.stack([low_res, images], axis=1).reshape(-1, *images.shape[1:])
    save_picture(pairs, path, columns=2 * PAIRS_IN_ROW)
