"""The report of images that were sampled: distances to the reference, and what else is known about them."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from linnet.data import NoSplit
from linnet.data.source import Source
from linnet.devices import processes
from linnet.engine.reference import KEEP, collect_source
from linnet.evaluation.collect import collect
from linnet.evaluation.features import Extractor
from linnet.evaluation.precision_recall import DENSITY_NEIGHBOURS
from linnet.evaluation.report import build_report, compute_metrics, summary, write_report


def score(
    extractor: Extractor, reference: Any, batches: Iterable[np.ndarray], images: str, fields: dict[str, Any]
) -> None:
    """Prints and writes the report of uint8 batches of all images at the path `images`; fields: what else is known.

    Each process scores its share, and the first one reports.
    """
    samples = collect(extractor, batches, keep=KEEP)
    if not processes.is_first():
        return
    sets = (samples.features, reference.features)
    neighbours = reference.features is not None and min(map(len, sets)) > DENSITY_NEIGHBOURS
    report = build_report(samples, reference, extractor, fields, with_precision_recall=neighbours)
    write_report(report, report_path(images))
    print(summary(report))


def report_path(images: str) -> str:
    """report.json in the folder of images; for one .npz of them <name>_report.json beside it."""
    name, _ = os.path.splitext(images)
    return f"{name}_report.json" if os.path.isfile(images) else os.path.join(images, "report.json")


def first(batches: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """The first n images of the batches."""
    for batch in batches:
        yield batch[:n]
        n -= len(batch)
        if n <= 0:
            return


def held_out(dataset: Callable[..., Source], extractor: Extractor, reference: Any) -> dict[str, Any]:
    """{"held_out_<metric>": Fréchet distance of the real test images to the reference}: what a perfect model has.

    dataset: opens a split by its name. {} and a line that says so for data without test images; {} in all processes but
    the first.
    """
    try:
        images = dataset("test")
    except NoSplit as error:
        print(f"no distance of held-out images: {error}", flush=True)
        return {}
    found = collect_source(extractor, images)
    if not processes.is_first():
        return {}
    metrics = compute_metrics(found, reference, extractor)
    name = next(iter(metrics))
    return {f"held_out_{name}": round(metrics[name], 4)}


def label_agreement(
    extractor: Extractor, batches: Iterable[np.ndarray], labels: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Any]:
    """{"label_agreement": share of samples that the extractor takes for the class they were asked to be of}.

    batches: the samples from the first on. labels: their numbers (N,) -> those classes (N,).
    """
    right, total = 0, 0
    for number, images in processes.dealt_rows(batches):
        asked = labels(np.arange(number, number + len(images)))
        right += int((extractor(images)["logits"].argmax(1) == asked).sum())
        total += len(images)
    right, total = np.sum(processes.everyones([right, total]), axis=0)
    return {"label_agreement": round(float(right / total), 4)}
