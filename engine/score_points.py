"""The distance of samples of points to the data, for --mode=fid and check: sliced Wasserstein, in units of the points.

report.json also holds the distance of as many test points, which is what a perfect model has.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from linnet.devices import processes
from linnet.evaluation.report import metric_key, write_report
from linnet.evaluation.sliced_wasserstein import DIRECTIONS, sliced_wasserstein
from linnet.files.npz import open_npz

NAME = "sliced_wasserstein"


def distance(points: np.ndarray, source: Any) -> float:
    """SW_2 of points (n, D) to those of a source."""
    return sliced_wasserstein(points, source.arrays()[0])


def score(folder: str, n: int, source: Any, test: Any, fields: dict[str, Any]) -> None:
    """Prints and writes the report of the first n points of the folder, or of all there are, in the first process.

    source, test: the points that they are compared with, and those that were held out. fields: what made the points.
    """
    if not processes.is_first():
        return
    points = read(folder)[:n]
    held_out = test.arrays()[0][: len(points)]
    name, held_out_name = (metric_key(NAME, len(x)) for x in (points, held_out))
    value, held_out_value = (distance(x, source) for x in (points, held_out))
    report = {
        "metrics": {name: value},
        f"held_out_{held_out_name}": held_out_value,
        "n": len(points),
        "directions": DIRECTIONS,
        "reference": {"dataset": source.name, "split": source.split, "n": len(source)},
    }
    path = os.path.join(folder, "report.json")
    write_report(report | fields, path)
    print(
        f"{name}={value:.4g} | of test points (a perfect model): {held_out_value:.4g} | against {source.name} "
        f"{source.split} (n={len(source)}) | {path}"
    )


def read(folder: str) -> np.ndarray:
    """The points (n, D) of samples_<k>.npz in a folder. FileNotFoundError; ValueError for files of something else."""
    paths = sorted(Path(folder).glob("samples_*.npz"))
    if not paths:
        raise FileNotFoundError(
            f"no points at {folder}: expected a folder of samples_*.npz, which --mode=sample writes"
        )
    batches: list[Any] = []
    for path in paths:
        with open_npz(path) as arrays:
            batches.append(arrays.get("samples"))
        if batches[-1] is None or batches[-1].ndim != 2:
            raise ValueError(f"{path}: holds no points: expected an array samples (n, D), as --mode=sample writes it")
    return np.concatenate(batches)
