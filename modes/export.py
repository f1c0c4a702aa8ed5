"""--mode=export: the parameters of a checkpoint as model.safetensors with config.json, readable with NumPy alone."""

import interop


def run(experiment):
    """Writes the folder --result_folder, or `export` in the workdir."""
    folder = experiment.file_or_default(None) or experiment.path("export")
    print(
        f"{experiment.config.eval.params} parameters in {interop.export(experiment.trained, experiment.config, folder)}"
    )
