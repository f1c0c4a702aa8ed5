"""Reference statistics of the data set and the extractor they are of, for every verb that scores images."""

import os

from linnet.data import pipeline
from linnet.evaluation.collect import collect
from linnet.evaluation.features import get_extractor
from linnet.evaluation.statistics import check_compatible, from_collected, load_statistics, save_statistics
from linnet.files.atomic import check_writable

KEEP = 10_000
"""Features that are kept for kernel distances, precision and recall."""


def load_extractor(config):
    """The extractor of config.eval."""
    return get_extractor(config.eval.extractor, config.eval.extractor_path or None)


def prepare(experiment):
    """(extractor, statistics of config.eval.stats or None), which fit. ValueError where they do not."""
    extractor = load_extractor(experiment.config)
    if not experiment.config.eval.stats:
        return extractor, None
    reference = load_statistics(experiment.config.eval.stats, extractor)
    check_compatible(reference, extractor)
    return extractor, reference


def load_reference(experiment, extractor):
    """The statistics of config.eval.stats, or those of the data set."""
    return prepare(experiment)[1] or make_reference(experiment, extractor, experiment.paths.workdir)


def make_reference(experiment, extractor, folder):
    """Statistics of the data set, made once and kept in the workdir, or in `folder` where there is none.

    They are made anew where those that were kept are of other images: other files, number, size, crop or channels.
    """
    config = experiment.config
    source = experiment.dataset(config.eval.split)
    name = f"stats_{source.name}_{config.eval.split}_{extractor.name}_{extractor.hash[:8]}.npz".replace("/", "_")
    path = os.path.join(experiment.paths.workdir or folder, name)
    if os.path.exists(path):
        kept = load_statistics(path, extractor)
        if kept.fingerprint == source.fingerprint():
            check_compatible(kept, extractor)
            return kept
        reason = "is of other images" if kept.fingerprint else "does not say of which images it is"
        print(f"{path} {reason}: statistics are made anew", flush=True)
    check_writable(path)
    save_statistics(path, compute(experiment, extractor))
    return load_statistics(path, extractor)


def compute(experiment, extractor):
    """Statistics of every image of config.eval.split, each once, uint8, as the data set delivers them."""
    config = experiment.config
    source = experiment.dataset(config.eval.split)
    batches = (batch["image"] for batch in pipeline.one_pass(source, 256, num_workers=config.data.num_workers))
    return from_collected(
        collect(extractor, batches, keep=KEEP),
        extractor,
        dataset=source.name,
        split=source.split,
        image_rule=f"uint8 {'x'.join(map(str, source.shape))}",
        fingerprint=source.fingerprint(),
    )
