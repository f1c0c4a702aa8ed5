"""--mode=colorize: colours for grey images, by a trained network of colour images; the mean of the channels is kept."""

from linnet.engine import completions
from linnet.engine.chosen_images import chosen_images
from linnet.engine.completions import Problem
from linnet.engine.experiment import Experiment
from linnet.samplers.measurements import Grey


def run(experiment: Experiment) -> None:
    """Writes colorize.json, colorize.png and completions.npz to the folder of the mode."""
    completions.run(experiment, "colorize", problem)


def problem(experiment: Experiment) -> Problem:
    """The mean of the channels of each image. ValueError for a network that has no colours."""
    config, channels = experiment.config, experiment.shape[-1]
    if channels != 3:
        raise ValueError(
            f"--mode=colorize needs a network of colour images (config.data.num_channels=3), this one has {channels}"
        )
    source = chosen_images(config, config.colorize, experiment.shape, experiment.evaluated)
    return completions.Problem(source, lambda batch: Grey(channels))
