"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from linnet.engine import record, reference, score_images, score_points
from linnet.evaluation.images import iterate_images
from linnet.modes import sample


def run(experiment):
    """sample, then fid of these samples, with everything that made the images in the report.

    What may be refused is looked for before the reference statistics and the images are made: images of the classes
    that the network knows, too.
    """
    if len(experiment.shape) == 1:
        fields = sample.run(experiment)
        score_points.score(experiment, record.result_folder(experiment), fields)
        return
    n = experiment.config.eval.num_samples
    if not experiment.config.eval.stats:
        experiment.examples(experiment.config.eval.split)
    extractor, statistics = reference.prepare(experiment)
    folder, _ = record.prepare(experiment)
    statistics = statistics or reference.make_reference(experiment, extractor, folder)
    fields = sample.run(experiment)
    agreement = score_images.label_agreement(experiment, extractor, score_images.first(iterate_images(folder), n))
    score_images.score(
        experiment, extractor, statistics, score_images.first(iterate_images(folder), n), folder, fields | agreement
    )
