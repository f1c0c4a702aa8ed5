"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from linnet.evaluation.images import iterate_images
from linnet.modes import fid, sample


def run(experiment):
    """sample, then fid of these samples, with everything that made the images in the report.

    What the distance needs is looked for before the images are made: images of the classes that the network knows, too.
    """
    n = experiment.config.eval.num_samples
    if not experiment.config.eval.stats:
        experiment.examples(experiment.config.eval.split)
    extractor, reference = fid.prepare(experiment)
    fields = sample.run(experiment)
    batches = lambda: fid.first(iterate_images(experiment.result_folder), n)  # noqa: E731
    fields |= fid.label_agreement(experiment, extractor, batches())
    fid.score(experiment, extractor, reference, batches(), fields)
