"""--mode=fid_stats: reference statistics of the data set, for the extractor of config.eval."""

import os

from linnet.engine.reference import compute, load_extractor
from linnet.evaluation.statistics import save_statistics
from linnet.files.atomic import check_writable


def run(experiment):
    """Writes the statistics to --result_folder, or to assets/stats/<data set>_<extractor>_<split>.npz."""
    config = experiment.config
    name = f"{experiment.dataset(config.eval.split).name}_{config.eval.extractor}_{config.eval.split}.npz"
    path = experiment.file_or_default(os.path.join("assets", "stats", name.replace("/", "_")))
    check_writable(path)
    statistics = compute(experiment, load_extractor(config))
    save_statistics(path, statistics)
    print(f"statistics of {statistics.n} images of {statistics.dataset} ({statistics.split}) in {path}")
