"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from linnet.evaluation.images import iterate_images
from linnet.modes import fid, record, sample, score_points


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
    extractor, reference = fid.prepare(experiment)
    folder, _ = record.prepare(experiment)
    reference = reference or fid.make_reference(experiment, extractor, folder)
    fields = sample.run(experiment)
    agreement = fid.label_agreement(experiment, extractor, fid.first(iterate_images(folder), n))
    fid.score(experiment, extractor, reference, fid.first(iterate_images(folder), n), folder, fields | agreement)
