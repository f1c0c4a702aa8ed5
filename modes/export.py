"""--mode=export: the parameters of a checkpoint as model.safetensors with config.json, readable with NumPy alone."""

import copy

from linnet import interop


def run(experiment):
    """Writes the folder --result_folder, or `export` in the workdir."""
    folder = experiment.file_or_default(None)
    if folder is None and experiment.workdir is None:
        raise ValueError("--result_folder is missing: the folder to export to (or --workdir, for DIR/export)")
    config = copy.deepcopy(experiment.config)
    config.eval.params = experiment.kind
    config.data.classes = experiment.classes
    written = interop.export(experiment.trained, config, folder or experiment.path("export"))
    print(f"{experiment.kind} parameters in {written}")
