"""--mode=export: the parameters of a checkpoint as model.safetensors with config.json, readable with NumPy alone."""

import copy
import os
from pathlib import Path

from ml_collections import ConfigDict

from linnet import interop
from linnet.devices import processes
from linnet.engine.experiment import Experiment
from linnet.files.atomic import check_writable
from linnet.interop.exported import CONFIG, recognises


def run(experiment: Experiment) -> None:
    """Writes the folder --result_folder, or `export` in the workdir."""
    paths = experiment.paths
    if paths.result_folder is None and paths.workdir is None:
        raise ValueError("--result_folder is missing: the folder to export to (or --workdir, for DIR/export)")
    folder = paths.result_folder or paths.run("export")
    path = os.path.join(folder, CONFIG)
    check_writable(path)
    if os.path.exists(path) and not recognises(Path(folder)):
        raise ValueError(f"{path} is not that of an export and would be lost: choose another --result_folder")
    kind = experiment.trained.kind
    config = exported_config(experiment.trained_config, kind, experiment.classes)
    if processes.is_first():
        interop.export(experiment.trained.params, config, folder)
        print(f"{kind} parameters in {folder}")


def exported_config(trained_config: ConfigDict, kind: str, classes: tuple[str, ...]) -> ConfigDict:
    """The config that lies beside exported parameters of that kind; without eval.params where it is unknown."""
    config = copy.deepcopy(trained_config)
    config.eval.params = kind
    if kind == "unknown":
        del config.eval.params
    config.data.classes = classes
    return config
