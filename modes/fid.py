"""--mode=fid: scores the images of the result folder and writes report.json there."""

import os

import numpy as np

from linnet.data import pipeline
from linnet.evaluation.collect import collect
from linnet.evaluation.images import iterate_images
from linnet.evaluation.report import build_report, compute_metrics, summary, write_report
from linnet.evaluation.statistics import check_compatible, load_statistics, save_statistics
from linnet.modes import fid_stats
from linnet.modes.conditions import Conditions


def run(experiment):
    """Scores all images of the folder."""
    extractor, reference = prepare(experiment)
    score(experiment, extractor, reference, iterate_images(experiment.result_folder))


def prepare(experiment):
    """(extractor, reference statistics), which fit. ValueError where they do not, and for points."""
    if len(experiment.shape) == 1:
        raise ValueError("distances need images; for points use --mode=sample and look at the picture")
    extractor = fid_stats.load_extractor(experiment.config)
    reference = load_reference(experiment, extractor)
    check_compatible(reference, extractor)
    return extractor, reference


def score(experiment, extractor, reference, batches, fields=None):
    """Prints and writes the report of uint8 batches; fields: how the images were made, if that is known."""
    samples = collect(extractor, batches, keep=fid_stats.KEEP)
    real = held_out(experiment, extractor, reference) if experiment.config.eval.held_out else {}
    report = build_report(samples, reference, extractor, real | (fields or {}))
    write_report(report, os.path.join(experiment.result_folder, "report.json"))
    print(summary(report))


def first(batches, n):
    """The first n images of the batches."""
    for batch in batches:
        yield batch[:n]
        n -= len(batch)
        if n <= 0:
            return


def held_out(experiment, extractor, reference):
    """{"held_out_<metric>": Fréchet distance of the real test images to the reference}: what a perfect model has."""
    images = experiment.dataset("test")
    batches = (batch["image"] for batch in pipeline.one_pass(images, 256))
    metrics = compute_metrics(collect(extractor, batches, keep=fid_stats.KEEP), reference, extractor)
    name = next(iter(metrics))
    return {f"held_out_{name}": round(metrics[name], 4)}


def label_agreement(experiment, extractor, batches):
    """{"label_agreement": share of samples that the extractor takes for the class they were asked to be of}.

    batches: the samples from the first on. {} for networks without classes, and for extractors that do not know the
    classes of the data set.
    """
    config = experiment.config
    if not config.model.get("num_classes", 0) or extractor.classifies != config.data.dataset:
        return {}
    predicted = np.concatenate([extractor(images)["logits"].argmax(1) for images in batches])
    asked = Conditions(experiment).labels(np.arange(len(predicted)))
    return {"label_agreement": round(float((predicted == asked).mean()), 4)}


def load_reference(experiment, extractor):
    """config.eval.stats, or statistics of the data set, made once and kept beside the run."""
    config = experiment.config
    if config.eval.stats:
        return load_statistics(config.eval.stats, extractor)
    source = experiment.dataset(config.eval.split)
    name = f"stats_{source.name}_{config.eval.split}_{extractor.name}_{extractor.hash[:8]}.npz".replace("/", "_")
    path = os.path.join(experiment.workdir or experiment.result_folder, name)
    if not os.path.exists(path):
        save_statistics(path, fid_stats.compute(experiment, extractor))
    return load_statistics(path, extractor)
