"""--mode=ema: averages of parameters of any width after training, from those that its checkpoints kept (EDM2).

config.eval.ema_std names widths as shares of the training; training must have had config.training.ema_stds. Each is
written as an export, which --ckpt takes. Of several the distances are measured too, each as by --mode=check.
"""

import os
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet import interop
from linnet.devices import processes
from linnet.engine.experiment import Experiment
from linnet.engine.snapshots import Averages
from linnet.evaluation.panels import panels
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import read_json, write_json
from linnet.modes import check
from linnet.modes.export import exported_config


def run(experiment: Experiment) -> None:
    """Writes a folder for each width, ema.json and, of several widths, ema.png into --result_folder or WORKDIR/ema.

    ValueError where no width is given, or the checkpoints have no averages of which it can be made.
    """
    widths = experiment.config.eval.ema_std
    if not widths:
        raise ValueError("config.eval.ema_std is missing: the width of the average to make, as 0.1, or several")
    if experiment.paths.ckpt is not None:
        raise ValueError("--ckpt is one checkpoint, and averages are made of all in --workdir: leave it out")
    experiment.paths.checkpoint()
    averages = Averages(experiment.paths.run("checkpoints"))
    folder = experiment.paths.result_folder or experiment.paths.run("ema")
    check_writable(os.path.join(folder, "ema.json"))
    found = [averages.combination(std) for std in widths]
    made = []
    parameters = averages.parameters(np.stack([weights for weights, _ in found]))
    for std, (_, residual), params in zip(widths, found, parameters, strict=True):
        config = exported_config(experiment.trained_config, "ema", experiment.classes)
        config.eval.ema_std = (std,)
        path = os.path.join(folder, f"{averages.time}_std{std:g}")
        made.append({"ema_std": std, "residual": residual, "path": path})
        if processes.is_first():
            interop.export(params, config, path)
            print(f"width {std:g} at step {averages.time}: {path} (weights of steps met to {residual:.1e})", flush=True)
    processes.wait()
    if len(made) > 1:
        for one in made:
            one["metrics"] = measured(experiment.config, experiment.paths.workdir, one["path"])
    if not processes.is_first():
        return
    if len(made) > 1:
        save_picture(made, os.path.join(folder, "ema.png"))
    write_json(os.path.join(folder, "ema.json"), {"step": averages.time, "kept": averages.kept, "widths": made})


def measured(config: ConfigDict, workdir: str | None, path: str) -> dict[str, Any]:
    """The metrics of --mode=check with the parameters at `path`."""
    one = Experiment(config, workdir, ckpt=path)
    check.run(one)
    processes.wait()  # until the first one has written
    return read_json(os.path.join(one.sample_folder(), "report.json"), "delete it")["metrics"]


def save_picture(made: list[dict[str, Any]], path: str) -> None:
    """The first metric over the widths, as PNG."""
    name = next(iter(made[0]["metrics"]))
    curve = np.array(sorted((one["ema_std"], one["metrics"][name]) for one in made))
    with atomic_write(path) as file:
        file.write(panels({name: {"averages": curve}}, "width of the average"))
