"""What the files of a workdir say, as rows and pictures for its report."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from linnet.configs import default
from linnet.evaluation import page
from linnet.files.json_files import read_json
from linnet.training.metrics import recorded

FEW = 12
"""Grids on the slider, the last ones."""

ORDER = ("checkpoint", "sampler", "evaluations")


def measured(path: str) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; [] where there is none. ValueError names a damaged line."""
    if not os.path.exists(path):
        return []
    records = []
    for number, (line, record) in enumerate(recorded(path), 1):
        if record is None:
            raise ValueError(f"{path}, line {number} is damaged: {line[:40]!r}")
        records.append(record)
    return records


def grids(folder: str) -> list[tuple[str, bytes]]:
    """(name, PNG) of the snapshots of averaged parameters, else of all, in order of steps."""
    found = sorted(glob.glob(os.path.join(folder, "*.png")))
    averaged = [path for path in found if "_raw" not in path] or found
    return [(os.path.basename(path), Path(path).read_bytes()) for path in averaged[-FEW:]]


def of_verb(workdir: str, verb: str, name: str) -> Iterator[tuple[str, str]]:
    """(checkpoint and folder, path) of the files `name` that a verb wrote."""
    root = os.path.join(workdir, verb)
    for path in sorted(glob.glob(os.path.join(glob.escape(root), "**", name), recursive=True)):
        yield os.path.relpath(os.path.dirname(path), root), path


def scored(workdir: str) -> list[dict[str, Any]]:
    """A row for each report.json, by checkpoint, process, sampler and evaluations."""
    rows = []
    for folder, path in of_verb(workdir, "check", "report.json"):
        report = read_json(path, f"delete {path}")
        held_out = {name: value for name, value in report.items() if name.startswith("held_out")}
        rows.append(made_by(report, folder) | report["metrics"] | held_out)
    return sorted(rows, key=lambda row: tuple(str(row[name]).rjust(12) for name in ORDER))


def made_by(report: dict[str, Any], folder: str) -> dict[str, Any]:
    """What made the images of a report.json. folder: its name, where the report has no checkpoint."""
    return {
        "checkpoint": report.get("checkpoint", folder),
        "process": report.get("sde", {}).get("name", ""),
        "sampler": report.get("sampling", {}).get("method", ""),
        "evaluations": report.get("nfe", ""),
        "parameters": report.get("params", ""),
    }


def pictures(workdir: str, verb: str, name: str) -> Iterator[str]:
    """The pictures of that name, with where they lie."""
    for folder, path in of_verb(workdir, verb, name):
        yield page.picture(Path(path).read_bytes(), folder)


def likelihoods(workdir: str) -> list[dict[str, Any]]:
    """A row for each eval.json."""
    for_people = ("split", "n", "bits_per_dim", "standard_error", "quantity", "nfe", "loss", "warning")
    found = []
    for folder, path in of_verb(workdir, "eval", "eval.json"):
        report = read_json(path, f"delete {path}")
        found.append({"folder": folder} | {name: report[name] for name in for_people if name in report})
    return found


def outliers(workdir: str) -> list[dict[str, Any]]:
    """A row for each score of each ood.json."""
    found = []
    for folder, path in of_verb(workdir, "ood", "ood.json"):
        for score, of in read_json(path, f"delete {path}")["scores"].items():
            found.append(
                {"folder": folder, "score": score, "AUROC": of["auroc"], "AUPR": of["aupr"], "FPR at 95 %": of["fpr95"]}
            )
    return found


def changed(config: ConfigDict) -> list[dict[str, Any]]:
    """A row for each key whose value is not that of configs/default.py for this process and network."""
    usual = default.get_config(config.sde.name, config.model.name, config.network_sde.name).to_dict()
    groups = {name: group for name, group in config.to_dict().items() if isinstance(group, dict)}
    rows = [
        {"key": f"{group}.{key}", "here": value, "by default": usual[group].get(key)}
        for group, keys in groups.items()
        for key, value in keys.items()
        if value != usual[group].get(key)
    ]
    return [{name: "" if value is None else value for name, value in row.items()} for row in rows]
