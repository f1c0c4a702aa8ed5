"""--mode=fid: scores the images of the result folder, or of one .npz, and writes report.json there."""

import itertools
import os

import numpy as np
from ml_collections import ConfigDict

from linnet.data import NoSplit, pipeline
from linnet.data.folder import folder_source
from linnet.evaluation.collect import collect
from linnet.evaluation.images import find_archives, iterate_images
from linnet.evaluation.precision_recall import NEIGHBOURS
from linnet.evaluation.report import build_report, compute_metrics, summary, write_report
from linnet.evaluation.statistics import check_compatible, load_statistics, save_statistics
from linnet.files.atomic import check_writable
from linnet.modes import fid_stats, record, score_points
from linnet.modes.conditions import Conditions


def run(experiment):
    """Scores all images, or points, there. What may be refused is looked for before reference statistics are made."""
    images = record.result_folder(experiment)
    if len(experiment.shape) == 1:
        score_points.score(experiment, images)
        return
    batches = read_images(experiment, images)
    batch = next(batches, None)
    if batch is None:
        raise ValueError(f"{images} holds no images")
    check_writable(report_path(images))
    extractor, reference = prepare(experiment)
    reference = reference or make_reference(experiment, extractor, os.path.dirname(report_path(images)))
    score(experiment, extractor, reference, itertools.chain([batch], batches), images)


def read_images(experiment, path):
    """uint8 batches of the samples there: arrays as they are stored, pictures as those of the data are read.

    FileNotFoundError where nothing is there, ValueError for a path without images.
    """
    if find_archives(path) or not os.path.exists(path):
        return iterate_images(path)
    *size, channels = experiment.shape
    read = experiment.config.data.to_dict() | {"path": path, "image_size": size, "num_channels": channels}
    source = folder_source(ConfigDict(read), "train")
    for note in (*source.notes, f"{len(source)} images, read as {source.shape} like the data"):
        print(f"{path}: {note}", flush=True)
    return (batch["image"] for batch in pipeline.one_pass(source, 256, num_workers=read["num_workers"]))


def prepare(experiment):
    """(extractor, statistics of config.eval.stats or None), which fit. ValueError where they do not."""
    extractor = fid_stats.load_extractor(experiment.config)
    if not experiment.config.eval.stats:
        return extractor, None
    reference = load_statistics(experiment.config.eval.stats, extractor)
    check_compatible(reference, extractor)
    return extractor, reference


def score(experiment, extractor, reference, batches, images, fields=None):
    """Prints and writes the report of uint8 batches from the path `images`; fields: what made them, if it is known."""
    samples = collect(extractor, batches, keep=fid_stats.KEEP)
    real = held_out(experiment, extractor, reference) if experiment.config.eval.held_out else {}
    neighbours = reference.features is not None and min(map(len, (samples.features, reference.features))) > NEIGHBOURS
    report = build_report(samples, reference, extractor, real | (fields or {}), with_precision_recall=neighbours)
    write_report(report, report_path(images))
    print(summary(report))


def report_path(images):
    """report.json in the folder of images; for one .npz of them <name>_report.json beside it."""
    name, _ = os.path.splitext(images)
    return f"{name}_report.json" if os.path.isfile(images) else os.path.join(images, "report.json")


def first(batches, n):
    """The first n images of the batches."""
    for batch in batches:
        yield batch[:n]
        n -= len(batch)
        if n <= 0:
            return


def held_out(experiment, extractor, reference):
    """{"held_out_<metric>": Fréchet distance of the real test images to the reference}: what a perfect model has.

    {} and a line that says so for data without test images.
    """
    try:
        images = experiment.dataset("test")
    except NoSplit as error:
        print(f"no distance of held-out images: {error}", flush=True)
        return {}
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
    """The statistics of config.eval.stats, or those of the data set."""
    return prepare(experiment)[1] or make_reference(experiment, extractor, experiment.workdir)


def make_reference(experiment, extractor, folder):
    """Statistics of the data set, made once and kept in the workdir, or in `folder` where there is none.

    They are made anew where those that were kept are of other images: other files, number, size, crop or channels.
    """
    config = experiment.config
    source = experiment.dataset(config.eval.split)
    name = f"stats_{source.name}_{config.eval.split}_{extractor.name}_{extractor.hash[:8]}.npz".replace("/", "_")
    path = os.path.join(experiment.workdir or folder, name)
    if os.path.exists(path):
        kept = load_statistics(path, extractor)
        if kept.fingerprint == source.fingerprint():
            check_compatible(kept, extractor)
            return kept
        reason = "is of other images" if kept.fingerprint else "does not say of which images it is"
        print(f"{path} {reason}: statistics are made anew", flush=True)
    check_writable(path)
    save_statistics(path, fid_stats.compute(experiment, extractor))
    return load_statistics(path, extractor)
