"""Reference statistics of the data set and the extractor they are of, for every verb that scores images."""

import os
from pathlib import Path

from ml_collections import ConfigDict

import linnet
from linnet.data import pipeline
from linnet.data.source import Source
from linnet.devices import processes
from linnet.evaluation.collect import Collected, Collector
from linnet.evaluation.features import Extractor, get_extractor
from linnet.evaluation.statistics import Statistics, check_compatible, from_collected, load_statistics, save_statistics
from linnet.files.atomic import check_writable
from linnet.files.published import cache

BATCH = 256
KEEP = 10_000
"""Features that are kept for kernel distances, precision and recall."""


def load_extractor(settings: ConfigDict) -> Extractor:
    """The extractor of config.eval (`settings`)."""
    return get_extractor(settings.extractor, settings.extractor_path or None)


def stats_folder() -> Path:
    """assets/stats of the clone, whatever the working directory; stats in the user's cache folder without a clone."""
    clone = (linnet.BESIDE / "main.py").exists()
    return linnet.BESIDE / "assets" / "stats" if clone else cache() / "stats"


def stats_path(config: ConfigDict) -> str:
    """The file of statistics to use; "" where they are to be made from the images of the config.

    config.eval.stats, or for Inception and CIFAR-10's training images as they are the file of score_sde and gDDIM, if
    it lies where their READMEs put it.
    """
    data = config.data
    published = stats_folder() / "cifar10_stats.npz"
    whole = data.image_size in (32, (32, 32)) and data.num_channels == 3 and not data.crop
    cifar10 = (data.dataset, config.eval.split, config.eval.extractor) == ("cifar10", "train", "inception") and whole
    return config.eval.stats or (str(published) if cifar10 and published.exists() else "")


def prepare(config: ConfigDict, shape: tuple[int, ...]) -> tuple[Extractor, Statistics | None]:
    """(extractor, statistics of `stats_path` or None), which fit each other and images (H, W, C) of `shape`.

    ValueError where they do not.
    """
    extractor = load_extractor(config.eval)
    path = stats_path(config)
    if not path:
        return extractor, None
    if not config.eval.stats:
        print(f"reference statistics: {path} (config.eval.stats names others)", flush=True)
    reference = load_statistics(path, extractor)
    check_compatible(reference, extractor)
    check_width(extractor, shape, len(reference.mu), path)
    return extractor, reference


def check_width(extractor: Extractor, shape: tuple[int, ...], width: int, of: str) -> None:
    """ValueError where images (H, W, C) of `shape` have another number of features than `width`, that of `of`."""
    found = extractor.features_of(shape)
    if found != width:
        raise ValueError(
            f"{of} has {width} features an image, and {extractor.name!r} makes {found} of images {tuple(shape)}: they "
            "cannot be compared; give images or statistics of the same size and channels, or another "
            "config.eval.extractor"
        )


def make_reference(source: Source, split: str, extractor: Extractor, folder: str, num_workers: int = 0) -> Statistics:
    """Statistics of the source of the data's `split`, made once and kept in `folder`.

    They are made anew where those that were kept are of other images: other files, number, size, crop or channels.
    """
    name = f"stats_{source.name}_{split}_{extractor.name}_{extractor.hash[:8]}.npz".replace("/", "_")
    path = os.path.join(folder, name)
    if processes.agreed(os.path.exists(path)):
        kept = load_statistics(path, extractor)
        if kept.fingerprint == source.fingerprint():
            check_compatible(kept, extractor)
            return kept
        reason = "is of other images" if kept.fingerprint else "does not say of which images it is"
        print(f"{path} {reason}: statistics are made anew", flush=True)
    check_writable(path)
    save(path, compute(source, extractor, num_workers))
    return load_statistics(path, extractor)


def save(path: str | Path, statistics: Statistics) -> None:
    """Writes the statistics, in the first process; when it returns in any, they are there."""
    if processes.is_first():
        save_statistics(path, statistics)
    processes.wait()


def collect_source(extractor: Extractor, source: Source, num_workers: int = 0) -> Collected:
    """What the extractor makes of every image of the source; each process reads its share."""
    collector = Collector(extractor, keep=KEEP)
    numbers = processes.dealt(range(-(-len(source) // BATCH)))
    for batch in pipeline.one_pass(source, BATCH, num_workers=num_workers, numbers=numbers):
        collector.add(int(batch["index"][0]), batch["image"])
    return collector.finish()


def compute(source: Source, extractor: Extractor, num_workers: int = 0) -> Statistics:
    """Statistics of every image of the source, each once, uint8, as the data set delivers them."""
    collected = collect_source(extractor, source, num_workers)  # before the fingerprint, which wants what was read
    return from_collected(
        collected,
        extractor,
        dataset=source.name,
        split=source.split,
        image_rule=f"uint8 {'x'.join(map(str, source.shape))}",
        fingerprint=source.fingerprint(),
    )
