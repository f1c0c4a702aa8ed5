"""Tuned tables as JSON files: what --mode=tune writes and config.sampling.table reads.

A file holds the method with its keys, the times of the steps and the corrections of the coefficients (see
samplers.coefficients.corrected); the table itself is made anew from them. Beside them it says what it was tuned for.
"""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from linnet import samplers
from linnet.engine.guides import GUIDANCE
from linnet.files.json_files import read_json

FORMAT = "linnet table 1"
IDLE = ("trajectory", "grid", "ts_order", "img_t_ratio", "noise_nfe_ratio")
"""Keys that say nothing beside explicit times."""

FREE = tuple(f"sampling.{key}" for key in ("labels", *GUIDANCE, "trajectory", "table"))
"""Keys of config.sampling that may be chosen beside a table."""


def content(method: str, sampler: Any, processes: dict[str, Any]) -> dict[str, Any]:
    """What is used of a file: the method, all of its keys as the tuned sampler has them, and the processes."""
    values = {key: getattr(sampler, key) for key in samplers.config_keys(method) if key not in IDLE}
    if sampler.corrections is not None:
        values["corrections"] = np.asarray(sampler.corrections).tolist()
    return json.loads(json.dumps({"format": FORMAT, **processes, "sampling": {"method": method} | values}))


def read(path: str, processes: dict[str, Any]) -> dict[str, Any]:
    """The keys of config.sampling that the file `path` stands for.

    processes: what Experiment.processes says. ValueError for a file of another kind or process; OSError.
    """
    found = read_json(path, "make it anew by --mode=tune")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"config.sampling.table={path!r} is not a table of --mode=tune")
    wanted = json.loads(json.dumps(processes))
    own = {key: found[key] for key in ("sde", "network_sde") if key in found}
    if own != wanted:
        group = "sde" if own.get("sde") != wanted["sde"] else "network_sde"
        there, here = own.get(group) or {}, wanted.get(group) or {}
        different = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        key = "name" if "name" in different else different[0]
        raise ValueError(
            f"config.sampling.table={path!r} was tuned for config.{group}.{key}={there.get(key)!r}, and here it is "
            f"{here.get(key)!r}: tune one for this process by --mode=tune"
        )
    return found["sampling"]


def check_overrides(overrides: Iterable[str]) -> None:
    """ValueError for keys of the command line that a table decides by itself."""
    for key in overrides:
        if key.startswith("sampling.") and key not in FREE:
            raise ValueError(f"config.{key} means nothing beside config.sampling.table: leave one of them out")
