"""Reference statistics of the data set and the extractor they are of, for every verb that scores images."""

import os

from linnet.data import pipeline
from linnet.evaluation.collect import collect
from linnet.evaluation.features import get_extractor
from linnet.evaluation.statistics import check_compatible, from_collected, load_statistics, save_statistics
from linnet.files.atomic import check_writable

KEEP = 10_000
"""Features that are kept for kernel distances, precision and recall."""


def load_extractor(settings):
    """The extractor of config.eval (`settings`)."""
    return get_extractor(settings.extractor, settings.extractor_path or None)


def prepare(settings):
    """(extractor, statistics of config.eval.stats or None), which fit. ValueError where they do not."""
    extractor = load_extractor(settings)
    if not settings.stats:
        return extractor, None
    reference = load_statistics(settings.stats, extractor)
    check_compatible(reference, extractor)
    return extractor, reference


def make_reference(source, split, extractor, folder, num_workers=0):
    """Statistics of the source of the data's `split`, made once and kept in `folder`.

    They are made anew where those that were kept are of other images: other files, number, size, crop or channels.
    """
    name = f"stats_{source.name}_{split}_{extractor.name}_{extractor.hash[:8]}.npz".replace("/", "_")
    path = os.path.join(folder, name)
    if os.path.exists(path):
        kept = load_statistics(path, extractor)
        if kept.fingerprint == source.fingerprint():
            check_compatible(kept, extractor)
            return kept
        reason = "is of other images" if kept.fingerprint else "does not say of which images it is"
        print(f"{path} {reason}: statistics are made anew", flush=True)
    check_writable(path)
    save_statistics(path, compute(source, extractor, num_workers))
    return load_statistics(path, extractor)


def compute(source, extractor, num_workers=0):
    """Statistics of every image of the source, each once, uint8, as the data set delivers them."""
    batches = (batch["image"] for batch in pipeline.one_pass(source, 256, num_workers=num_workers))
    return from_collected(
        collect(extractor, batches, keep=KEEP),
        extractor,
        dataset=source.name,
        split=source.split,
        image_rule=f"uint8 {'x'.join(map(str, source.shape))}",
        fingerprint=source.fingerprint(),
    )
