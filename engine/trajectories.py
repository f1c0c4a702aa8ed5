"""The way from noise to images, as pictures of --mode=sample.

    denoise.png      in each row the states of one image at COLUMNS evenly chosen steps, and the image
    progressive.png  the x_0 that the network predicts from these states, and the image

Points have one panel of them all for each step in place of rows. States are clipped to the range of the model.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.devices import parallel
from linnet.engine.generate import Recipe
from linnet.engine.pictures import save_picture

COLUMNS = 10
IMAGES = 8
POINTS = 1024


def save_trajectories(recipe: Recipe, weights: dict[str, Any], points: np.ndarray | None, folder: str) -> None:
    """Writes denoise.png and progressive.png of the first images of a Recipe.

    weights: Guided.weights, replicated. points: the training points (N, D) to show below; None for images.
    """
    project = jax.vmap(recipe.project)
    sample = recipe.sample_with(trajectory=COLUMNS)

    def visited(weights, index, condition):
        samples = sample(weights, index, condition)
        x = recipe.project(samples.u)[None]
        rows = (project(samples.trajectory["u"]), samples.trajectory["x_0"])
        return [jnp.concatenate([states, x]).swapaxes(0, 1) for states in rows]

    devices = jax.local_device_count()
    wanted = IMAGES if len(recipe.shape) == 3 else POINTS
    index = np.arange(-(-wanted // devices) * devices, dtype=np.int32)
    found = parallel.parallel(visited)(weights, *parallel.shard((index, recipe.conditions(index))))
    for name, states in zip(("denoise", "progressive"), found, strict=True):
        states = parallel.unshard(states)
        panels = states.swapaxes(0, 1) if states.ndim == 3 else states.reshape(-1, *states.shape[2:])
        path = os.path.join(folder, f"{name}.png")
        save_picture(recipe.stored(panels), path, columns=states.shape[1], points=points)
