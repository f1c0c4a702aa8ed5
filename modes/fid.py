"""--mode=fid: scores the images of the result folder, or of one .npz, and writes report.json there."""

import itertools
import os

from ml_collections import ConfigDict

from linnet.data import pipeline
from linnet.data.folder import folder_source
from linnet.engine import record, reference, score_images, score_points
from linnet.evaluation.images import find_archives, iterate_images
from linnet.files.atomic import check_writable


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
    check_writable(score_images.report_path(images))
    extractor, statistics = reference.prepare(experiment)
    statistics = statistics or reference.make_reference(
        experiment, extractor, os.path.dirname(score_images.report_path(images))
    )
    score_images.score(experiment, extractor, statistics, itertools.chain([batch], batches), images)


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
