"""--mode=fid_stats: reference statistics of the data set, for the extractor of config.eval."""

import os

from linnet.data import pipeline
from linnet.evaluation.collect import collect
from linnet.evaluation.features import get_extractor
from linnet.evaluation.statistics import from_collected, save_statistics
from linnet.files.atomic import check_writable

KEEP = 10_000


def run(experiment):
    """Writes the statistics to --result_folder, or to assets/stats/<data set>_<extractor>_<split>.npz."""
    config = experiment.config
    name = f"{experiment.dataset(config.eval.split).name}_{config.eval.extractor}_{config.eval.split}.npz"
    path = experiment.file_or_default(os.path.join("assets", "stats", name.replace("/", "_")))
    check_writable(path)
    statistics = compute(experiment, load_extractor(config))
    save_statistics(path, statistics)
    print(f"statistics of {statistics.n} images of {statistics.dataset} ({statistics.split}) in {path}")


def load_extractor(config):
    """The extractor of config.eval."""
    return get_extractor(config.eval.extractor, config.eval.extractor_path or None)


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
