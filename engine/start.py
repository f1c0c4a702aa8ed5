"""What a run begins with: the newest checkpoint of its workdir, or the parameters of --ckpt, or new ones."""

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from linnet.data.source import Source
from linnet.devices import processes
from linnet.engine.paths import Paths
from linnet.files.json_files import write_json
from linnet.training.checkpoint import Checkpoints


class Start(NamedTuple):
    """State and estimates (None for objectives without) on the host, examples consumed, the first parameters' path."""

    state: Any
    estimates: np.ndarray | None
    position: int
    began_from: str | None


def check_same(config: ConfigDict, examples: Callable[..., Source], latest: int | None, ckpt: str | None) -> None:
    """ValueError where the processes of the run differ in config, data, newest checkpoint or --ckpt.

    examples: opens the training images.
    """
    if processes.count() > 1:
        text = json.dumps(config.to_dict())
        processes.check_same("their config, data or checkpoints", text, examples().fingerprint(), latest, ckpt)


def note(config: ConfigDict, paths: Paths) -> None:
    """Writes the config into the workdir, once nothing of it is refused any more."""
    os.makedirs(paths.run("samples"), exist_ok=True)
    if processes.is_first():
        write_json(paths.run("config.json"), config.to_dict())


def resume(checkpoints: Checkpoints, state: Any, paths: Paths, config: dict[str, Any], keeps_estimates: bool) -> Start:
    """The Start of a workdir with checkpoints.

    state: the shapes of one. config: as it is now, to say what changed. keeps_estimates: whether the objective has
    any.
    """
    state, meta, estimates = checkpoints.restore(state)
    step = int(state.step)
    ckpt = paths.ckpt
    began_from = meta.get("began_from")
    if ckpt is not None and "began_from" in meta and os.path.realpath(ckpt) != began_from:
        raise ValueError(
            f"{paths.workdir} is at step {step} of a run that began from {began_from or 'new parameters'}: leave "
            f"--ckpt out to go on with it, or choose another --workdir to begin from {ckpt}"
        )
    if keeps_estimates and estimates is None:
        raise ValueError(f"checkpoint {step} holds no estimates of its examples: it was trained with another objective")
    print(f"resuming {paths.workdir} at step {step}" + (f", which began from {ckpt}" if ckpt else ""), flush=True)
    for key, (old, new) in changes(meta["config"], config).items():
        print(f"  config.{key} was {old}, is now {new}", flush=True)
    return Start(state, estimates if keeps_estimates else None, meta["position"], began_from)


def changes(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """{key: (old, new)} of the leaves in which two nested dicts differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= changes(a, b, f"{prefix}{key}.")
        elif a != b:
            found[prefix + key] = (a, b)
    return found
