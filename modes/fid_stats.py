"""--mode=fid_stats: reference statistics of the data set, for the extractor of config.eval."""

from linnet.devices import processes
from linnet.engine.experiment import Experiment
from linnet.engine.reference import compute, load_extractor, save, stats_folder
from linnet.files.atomic import check_writable


def run(experiment: Experiment) -> None:
    """Writes the statistics to --result_folder, or to <data set>_<extractor>_<split>.npz in `stats_folder`."""
    config = experiment.config
    source = experiment.dataset(config.eval.split)
    name = f"{source.name}_{config.eval.extractor}_{config.eval.split}.npz"
    path = experiment.paths.result_folder or stats_folder() / name.replace("/", "_")
    check_writable(path)
    statistics = compute(source, load_extractor(config.eval), config.data.num_workers)
    save(path, statistics)
    if processes.is_first():
        print(f"statistics of {statistics.n} images of {statistics.dataset} ({statistics.split}) in {path}")
