"""--mode=check: samples from a checkpoint, then the distance to the data, in one command."""

from linnet.engine import copies, record, reference, score_images, score_points
from linnet.engine.experiment import Experiment
from linnet.evaluation.images import iterate_images
from linnet.modes import sample


def run(experiment: Experiment) -> None:
    """sample, then fid of these samples, with everything that made the images in the report.

    What may be refused is looked for before the reference statistics and the images are made: images of the classes
    that the network knows, too.
    """
    config, dataset = experiment.config, experiment.dataset
    n, split = config.eval.num_samples, config.eval.split
    if len(experiment.shape) == 1:
        fields = sample.run(experiment)
        score_points.score(experiment.sample_folder(), n, dataset(split), dataset("test"), fields)
        return
    if not reference.stats_path(config):
        experiment.examples(split)
    extractor, statistics = reference.prepare(config, experiment.picture_shape)
    folder = experiment.sample_folder()
    record.prepare(experiment.recipe, experiment.made_by(), folder)
    if statistics is None:
        kept = experiment.paths.workdir or folder
        statistics = reference.make_reference(dataset(split), split, extractor, kept, config.data.num_workers)
    fields = sample.run(experiment)
    if experiment.conditions.classes and extractor.classes == experiment.conditions.names:
        labels = experiment.conditions.labels
        fields |= score_images.label_agreement(extractor, score_images.first(iterate_images(folder), n), labels)
    if config.eval.memorisation:
        drawn = score_images.first(iterate_images(folder), n)
        fields |= copies.report(dataset, split, extractor, drawn, folder, config.data.num_workers)
    if config.eval.held_out:
        fields |= score_images.held_out(dataset, extractor, statistics)
    score_images.score(extractor, statistics, score_images.first(iterate_images(folder), n), folder, fields)
