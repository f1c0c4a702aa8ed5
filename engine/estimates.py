"""Estimates before the first step (see training.estimates): of a checkpoint that is begun from, or noise."""

import numpy as np

from linnet import interop
from linnet.data.pipeline import one_pass
from linnet.data.transforms import to_model_range
from linnet.training import estimates

COMPARED = 256
"""Images whose order is compared with that of the estimates."""


def first_rows(experiment):
    """Estimates before the first step: those of --ckpt, where it holds some, or noise; None for other objectives."""
    if not experiment.objective.remembers:
        return None
    found = interop.estimates(experiment.ckpt) if experiment.ckpt is not None else None
    if found is None:
        config = experiment.config
        return estimates.initial(config.seed, len(experiment.dataset()), experiment.shape, config.training.memory_dtype)
    check_order(found, experiment)
    return found


def check_order(rows, experiment):
    """ValueError unless the first estimates are nearer to their images than to the images after them."""
    if rows.shape[1:] != experiment.shape or len(rows) < 2:
        return
    images = next(one_pass(experiment.dataset(), COMPARED))["image"]
    x = np.asarray(to_model_range(images, centered=experiment.config.data.centered))
    first = rows[: len(x)].astype(np.float32)
    gap, other = np.abs(first - x[: len(first)]).mean(), np.abs(first - np.roll(x, -1, axis=0)[: len(first)]).mean()
    if gap > 0.95 * other:
        raise ValueError(
            f"the estimates in {experiment.ckpt} are no nearer to the training images ({gap:.3g}) than to others "
            f"({other:.3g}): they are of other images, or in another order"
        )
