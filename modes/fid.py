"""--mode=fid: scores the images of the result folder, or of one .npz, and writes report.json there."""

import itertools
import os
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from linnet.data import pipeline
from linnet.data.folder import folder_source
from linnet.engine import copies, reference, score_images, score_points
from linnet.engine.experiment import Experiment
from linnet.engine.reference import make_reference
from linnet.evaluation.images import find_archives, iterate_images
from linnet.files.atomic import check_writable


def run(experiment: Experiment) -> None:
    """Scores all images, or points, there. What may be refused is looked for before reference statistics are made."""
    images = experiment.sample_folder()
    config = experiment.config
    dataset = experiment.dataset
    split = experiment.config.eval.split
    if len(experiment.shape) == 1:
        score_points.score(images, config.eval.num_samples, dataset(split), dataset("test"), {})
        return
    batches = read_images(config.data, experiment.picture_shape, images)
    batch = next(batches, None)
    if batch is None:
        raise ValueError(f"{images} holds no images")
    check_writable(score_images.report_path(images))
    extractor, statistics = reference.prepare(config, batch.shape[1:])
    if statistics is None:
        check_size(batch.shape[1:3], experiment.picture_shape[:2], images)
        width = extractor.features_of(experiment.picture_shape)
        reference.check_width(extractor, batch.shape[1:], width, f"{dataset(split).name} {split}")
        folder = experiment.paths.workdir or os.path.dirname(score_images.report_path(images))
        statistics = make_reference(dataset(split), split, extractor, folder, config.data.num_workers)
    real = score_images.held_out(dataset, extractor, statistics) if config.eval.held_out else {}
    if config.eval.memorisation:
        drawn = read_images(config.data, experiment.picture_shape, images)
        folder = os.path.dirname(score_images.report_path(images))
        real |= copies.report(dataset, split, extractor, drawn, folder, config.data.num_workers)
    score_images.score(extractor, statistics, itertools.chain([batch], batches), images, real)


def check_size(found: tuple[int, ...], wanted: tuple[int, ...], path: str) -> None:
    """ValueError for images of another (H, W) than those of the data, whose statistics are made."""
    if tuple(found) != tuple(wanted):
        raise ValueError(
            f"{path} holds images of {tuple(found)} pixels and the data is read as {tuple(wanted)}: set "
            "config.data.image_size to theirs, or name statistics by config.eval.stats"
        )


def read_images(settings: ConfigDict, shape: tuple[int, ...], path: str) -> Iterator[np.ndarray]:
    """uint8 batches of the samples there: arrays as they are stored, pictures as those of config.data (`settings`).

    shape: (H, W, C) of the images.     FileNotFoundError where nothing is there, ValueError for a path without images.
    """
    if find_archives(path) or not os.path.exists(path):
        return iterate_images(path)
    *size, channels = shape
    read = settings.to_dict() | {"path": path, "image_size": size, "num_channels": channels}
    source = folder_source(ConfigDict(read), "train")
    for note in (*source.notes, f"{len(source)} images, read as {source.shape} like the data"):
        print(f"{path}: {note}", flush=True)
    return (batch["image"] for batch in pipeline.one_pass(source, 256, num_workers=read["num_workers"]))
