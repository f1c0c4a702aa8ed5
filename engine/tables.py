"""Tuned tables as JSON files: what --mode=tune writes and config.sampling.table reads.

A file holds the method with its keys, the times of the steps and the corrections of the coefficients (see
samplers.coefficients.corrected); the table itself is made anew from them. Beside them it says what it was tuned for.
"""

import json
import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet import samplers
from linnet.configs import rules
from linnet.configs import sampling as keys_of_sampling
from linnet.configs.kinds import checked
from linnet.engine.guides import GUIDANCE
from linnet.files.json_files import read_json

FORMAT = "linnet table 1"
GRID = ("grid", "ts_order", "img_t_ratio", "noise_nfe_ratio")
"""Keys that say nothing beside explicit times."""

IDLE = ("trajectory", *GRID)
"""Keys that a table leaves out."""

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

    processes: what Experiment.processes says. ValueError for a file of another kind or process, and for a damaged one;
    OSError where there is no file.
    """
    name = f"config.sampling.table={path!r}"
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{name} is no file: give the table.json that --mode=tune wrote")
    found = read_json(path, "make it anew by --mode=tune")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{name} is not a table of --mode=tune")
    wanted = json.loads(json.dumps(processes))
    own = {key: found[key] for key in ("sde", "network_sde") if key in found}
    sampling: Any = found.get("sampling")
    if not all(isinstance(part, dict) for part in (sampling, found.get("tuned", {}), *own.values())):
        raise ValueError(f"{name} is damaged: make it anew by --mode=tune")
    if own != wanted:
        group = "sde" if own.get("sde") != wanted["sde"] else "network_sde"
        there, here = own.get(group) or {}, wanted.get(group) or {}
        different = [key for key in {**there, **here} if there.get(key) != here.get(key)]
        key = "name" if "name" in different else different[0]
        raise ValueError(
            f"{name} was tuned for config.{group}.{key}={there.get(key)!r}, and here it is "
            f"{here.get(key)!r}: tune one for this process by --mode=tune"
        )
    check_sampling(name, sampling)
    return sampling


def tell(path: str, parameters: str) -> None:
    """Prints, where the table `path` was tuned for other parameters than those with this SHA-256, that it was."""
    own = read_json(path, "make it anew by --mode=tune").get("tuned", {}).get("parameters", parameters)
    if own != parameters:
        print(f"config.sampling.table={path!r} was tuned for another network ({own[:8]}), not for this", flush=True)


def check_sampling(name: str, sampling: dict[str, Any]) -> None:
    """ValueError unless `sampling` of the table `name` holds a method, keys of it, and times and corrections."""
    method = sampling.get("method")
    if method not in samplers.SAMPLERS:
        raise ValueError(f"{name} is damaged: its method {method!r} is unknown; make it anew by --mode=tune")
    keys = samplers.config_keys(method)
    unknown = sampling.keys() - {"method", "corrections", *keys}
    if unknown or "times" not in keys:
        raise ValueError(f"{name} is damaged: {min(unknown, default='times')} means nothing to its method {method!r}")
    kinds = rules.kinds("sampling.", ConfigDict(keys_of_sampling.sampling(), type_safe=False))
    for key in set(keys) & sampling.keys() - {"times"}:
        checked(f"{name} is damaged: its {key}", kinds[f"sampling.{key}"], sampling[key])
    for key in ("times", "corrections"):
        if not is_finite(sampling.get(key, math.nan if key == "times" else 0.0)):
            raise ValueError(f"{name} is damaged: its {key} are not finite numbers; make it anew by --mode=tune")


def is_finite(numbers: Any) -> bool:
    """Whether nested lists hold finite numbers, the same count in each."""
    try:
        return bool(np.isfinite(np.asarray(numbers, np.float64)).all())
    except (ValueError, TypeError):
        return False


def check_overrides(overrides: Iterable[str]) -> None:
    """ValueError for keys of the command line that a table decides by itself."""
    refuse([key for key in overrides if key.startswith("sampling.") and key not in FREE], "table")


def check_replaced(follows: str, overrides: Iterable[str]) -> None:
    """ValueError for keys of the command line that config.sampling.`follows` replaces, and for a unit of no times."""
    replaced = {"": (), "times": ("nfe", *GRID)}.get(follows, ("nfe",))
    refuse([f"sampling.{key}" for key in replaced if f"sampling.{key}" in overrides], follows)
    if follows != "times" and "sampling.times_in" in overrides:
        raise ValueError("config.sampling.times_in means nothing without config.sampling.times")


def refuse(keys: list[str], beside: str) -> None:
    """ValueError that names the first of the keys, if there is one, as idle beside config.sampling.`beside`."""
    if keys:
        raise ValueError(f"config.{keys[0]} means nothing beside config.sampling.{beside}: leave one of them out")
