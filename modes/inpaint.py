"""--mode=inpaint: hidden pixels of images are filled by a trained network, several times, the others kept exactly.

Masks are drawn (config.inpaint.mask) or read (config.inpaint.masks); methods are those of engine.completions.
"""

from linnet.engine import completions
from linnet.engine.batches import number_of_images
from linnet.engine.chosen_images import N, chosen_images
from linnet.engine.completions import Problem
from linnet.engine.experiment import Experiment
from linnet.engine.masks import masks
from linnet.samplers.measurements import Mask


def run(experiment: Experiment) -> None:
    """Writes inpaint.json, inpaint.png and completions.npz to the folder of the mode."""
    completions.run(experiment, "inpaint", problem)


def problem(experiment: Experiment) -> Problem:
    """The pixels that are seen of each image."""
    config, settings = experiment.config, experiment.config.inpaint
    source = chosen_images(config, settings, experiment.shape, experiment.evaluated)
    total = number_of_images(source, config.eval.num_images, N)
    names = source.names[:total] if settings.images else range(total)
    seen = masks(settings, names, experiment.shape[:2], config.seed)
    return completions.Problem(
        source, lambda batch: Mask(batch["seen"].astype("float32")), {"seen": seen}, hidden=~seen
    )
