"""--mode=report: all that a workdir holds on one HTML page, which can be sent, and opened from disk.

Config, curves, grids over time, distances and likelihoods of every checkpoint and sampler, outliers, pictures of
other modes, versions, and what to type.
"""

import os
import shlex
from typing import Any

from ml_collections import ConfigDict

from linnet.engine import reported
from linnet.engine.experiment import Experiment
from linnet.evaluation import history, page
from linnet.files.atomic import atomic_write, check_writable
from linnet.training.checkpoint import versions

PANELS = {
    "loss": ("loss", "eval_loss"),
    "loss by quarter of the times": ("loss_q0", "loss_q1", "loss_q2", "loss_q3"),
    "gradient norm": ("grad_norm",),
    "images per second": ("images_per_s",),
    "memory, GiB": ("memory_gib", "device_gib"),
}

PICTURED = ("encode", "interpolate", "inpaint", "colorize", "super_resolution", "edit", "ema")
"""Modes with a picture of their name."""

VERBS = ("train", "check", "eval", "report")
"""The commands that a page ends with."""


def run(experiment: Experiment) -> None:
    """Writes report.html into --result_folder or the workdir."""
    paths, config = experiment.paths, experiment.config
    workdir = paths.run()
    path = os.path.join(paths.result_folder or workdir, "report.html")
    check_writable(path)
    records = reported.measured(os.path.join(workdir, "metrics.jsonl"))
    distances = sorted({name for record in records for name in record} - {"step", *sum(PANELS.values(), ())})
    curves = history.curves(records, PANELS | {"distance of snapshots": distances})
    name = os.path.basename(os.path.normpath(workdir))
    sections = {
        "What it is": introduce(config, records, workdir),
        "Curves": page.picture(curves) if curves else "",
        "Samples over time": page.slider(reported.grids(os.path.join(workdir, "samples"))),
        "Distances": page.table(reported.scored(workdir)),
        "Pictures of the checks": "".join(reported.pictures(workdir, "check", "grid.png")),
        "Likelihood": page.table(reported.likelihoods(workdir)),
        "Curves of the bound": "".join(reported.pictures(workdir, "eval", "bound.png")),
        "Outliers": page.table(reported.outliers(workdir)),
        "Scores": "".join(reported.pictures(workdir, "ood", "histograms.png")),
        "Other pictures": "".join(
            picture for name in PICTURED for picture in reported.pictures(workdir, name, f"{name}.png")
        ),
        "Config, where it differs from the defaults": page.table(reported.changed(config)),
        "Versions": page.table([versions()]),
        "Commands": page.code(commands(workdir)),
    }
    with atomic_write(path) as file:
        file.write(page.page(f"{name}: {config.model.name} under {config.sde.name}", sections).encode())
    print(f"report: {path} ({os.path.getsize(path) / 2**20:.1f} MiB)")


def introduce(config: ConfigDict, records: list[dict[str, Any]], workdir: str) -> str:
    """A paragraph: data, process, network, how far training is."""
    steps = max((record["step"] for record in records), default=0)
    seen = steps * config.training.batch_size
    return page.paragraph(
        f"{config.model.name} under {config.sde.name} on {config.data.dataset} "
        f"{config.data.path and os.path.basename(config.data.path)}, objective {config.training.objective}, prediction "
        f"{config.model.prediction}: {steps} of {config.training.n_iters} steps of {config.training.batch_size} images "
        f"({seen:,} images seen), seed {config.seed}."
    ) + page.paragraph(os.path.abspath(workdir), "note")


def commands(workdir: str) -> str:
    """What to type to go on, and to measure it."""
    folder = shlex.quote(os.path.relpath(workdir))
    return "\n".join(f"python main.py --mode={mode} --workdir={folder}" for mode in VERBS)
