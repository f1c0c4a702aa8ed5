"""--mode=super_resolution: images enlarged by a trained network that knows nothing of low resolution.

Means over blocks of config.super_resolution.factor x factor pixels are kept: those of the data's images, or the pixels
of the pictures in config.super_resolution.images.
"""

from linnet.engine import completions
from linnet.engine.chosen_images import chosen_images
from linnet.engine.completions import Problem
from linnet.engine.experiment import Experiment
from linnet.samplers.measurements import Pooling


def run(experiment: Experiment) -> None:
    """Writes super_resolution.json, super_resolution.png and completions.npz to the folder of the mode."""
    completions.run(experiment, "super_resolution", problem)


def problem(experiment: Experiment) -> Problem:
    """Means over blocks of each image. ValueError for a factor that does not divide the size."""
    config, shape = experiment.config, experiment.shape
    settings = config.super_resolution
    size = shape[:2]
    factor = settings.factor
    if any(side % factor for side in size):
        raise ValueError(
            f"config.super_resolution.factor={factor} must divide the sides of the images, {size[0]} x {size[1]}"
        )
    source = chosen_images(config, settings, shape, experiment.evaluated, tuple(side // factor for side in size))
    return completions.Problem(source, lambda batch: Pooling(factor), measured=bool(settings.images))
