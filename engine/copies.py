"""Copies of training images among samples, for config.eval.memorisation: in pixels and in features, with the pairs."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data import NoSplit, pipeline
from linnet.data.source import Source
from linnet.devices import processes
from linnet.engine.pictures import PAIRS_IN_ROW, save_picture
from linnet.engine.progress import progress
from linnet.engine.score_images import first
from linnet.evaluation.features import Extractor
from linnet.evaluation.memorisation import THRESHOLD, Nearest, Neighbours

AMONG = 10_000
"""Samples that are looked at, the first ones."""

SHOWN = 32
BLOCK = 256


def report(
    dataset: Callable[..., Source],
    split: str,
    extractor: Extractor,
    batches: Iterable[np.ndarray],
    folder: str,
    num_workers: int = 0,
) -> dict[str, Any]:
    """{"memorisation": {...}} of uint8 batches of samples; writes copies.png (sample, nearest image) to the folder.

    The shares of copies, smallest and median ratio among the images of the `split`; beside them the same of the test
    images, which are no copies: what the threshold says of images that were never seen. dataset: opens a split.
    """
    samples = np.concatenate(list(first(batches, AMONG)))
    training = dataset(split)
    sets = {"samples": samples, **held_out(dataset, len(samples))}
    found = nearest(sets, training, extractor, num_workers)
    if not processes.is_first():
        return {}
    pixels = found["samples"]["pixels"]
    chosen = np.argsort(pixels.ratio, kind="stable")[:SHOWN]
    pairs = np.stack([samples[chosen], np.stack([training[int(i)]["image"] for i in pixels.number[chosen]])], axis=1)
    captions = [text for i in chosen for text in (f"r={pixels.ratio[i]:.2f}", str(pixels.number[i]))]
    picture = os.path.join(folder, "copies.png")
    save_picture(pairs.reshape(-1, *samples.shape[1:]), picture, columns=2 * PAIRS_IN_ROW, captions=captions)
    fields = {name: {space: summary(one) for space, one in of.items()} for name, of in found.items()}
    shares = ", ".join(f"{space} {one['copies']:.4f}" for space, one in fields["samples"].items())
    print(f"copies among {len(samples)} samples (r < {THRESHOLD}): {shares}: {picture}", flush=True)
    return {"memorisation": {"threshold": THRESHOLD, "n": len(samples), **fields}}


def held_out(dataset: Callable[..., Source], n: int) -> dict[str, Any]:
    """{"held_out": the first n test images}, {} where there are none."""
    try:
        images = dataset("test")
    except NoSplit:
        return {}
    return {"held_out": next(pipeline.one_pass(images, min(n, len(images))))["image"]}


def nearest(sets: dict[str, Any], training: ConfigDict, extractor: Extractor, num_workers: int) -> dict[str, Any]:
    """{set: {"pixels", "features": Nearest}} in one pass over the training images, a share in each process."""
    spaces: dict[str, Callable[..., np.ndarray]] = {
        "pixels": np.asarray,
        "features": lambda images: extractor(images)["features"],
    }
    neighbours = {
        name: {space: Neighbours(see(images)) for space, see in spaces.items()} for name, images in sets.items()
    }
    numbers = processes.dealt(range(-(-len(training) // BLOCK)))
    passed = pipeline.one_pass(training, BLOCK, num_workers=num_workers, numbers=numbers)
    for batch in progress(passed, "nearest training images", len(numbers)):
        for space, see in spaces.items():
            seen = see(batch["image"])
            for of in neighbours.values():
                of[space].add(seen, int(batch["index"][0]))
    return {name: {space: one.join().finish() for space, one in of.items()} for name, of in neighbours.items()}


def summary(found: Nearest) -> dict[str, Any]:
    """Share of copies, smallest and median ratio, median distance."""
    return {
        "copies": float(found.copies.mean()),
        "smallest_ratio": float(found.ratio.min()),
        "median_ratio": float(np.median(found.ratio)),
        "median_distance": float(np.median(found.distance)),
    }
