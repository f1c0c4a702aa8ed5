"""What a run begins with: the newest checkpoint of its workdir, or the parameters of --ckpt, or new ones."""

import json
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from linnet.devices import processes
from linnet.engine.estimates import first_estimates
from linnet.files.json_files import write_json


class Start(NamedTuple):
    """State and estimates (None for objectives without) on the host, examples consumed, the first parameters' path."""

    state: Any
    estimates: np.ndarray | None
    position: int
    began_from: str | None


def start(experiment, checkpoints):
    """From the newest checkpoint of the workdir, else from the parameters of --ckpt, else from the beginning.

    ValueError where the processes of the run differ, or --ckpt is not what the run of the workdir began from.
    """
    config, paths = experiment.config, experiment.paths
    text = json.dumps(config.to_dict())
    if processes.count() > 1:
        content = experiment.examples().fingerprint()
        processes.check_same("their config, data or checkpoints", text, content, checkpoints.latest, paths.ckpt)
    if checkpoints.latest is None:
        return first_start(experiment)
    state = jax.eval_shape(experiment.create_state)
    return resume(checkpoints, state, paths, json.loads(text), experiment.objective.keeps_estimates)


def note(experiment):
    """Writes the config into the workdir, once nothing of it is refused any more."""
    os.makedirs(experiment.paths.run("samples"), exist_ok=True)
    if processes.is_first():
        write_json(experiment.paths.run("config.json"), experiment.config.to_dict())


def first_start(experiment):
    """The Start of a workdir without checkpoints."""
    ckpt, estimates = experiment.paths.ckpt, None
    if ckpt is not None:
        print(f"starting from the parameters of {ckpt}", flush=True)
    state = experiment.create_state() if ckpt is None else experiment.state_of(experiment.trained.params)
    if experiment.objective.keeps_estimates:
        remembered = None if ckpt is None else experiment.trained.step
        estimates = first_estimates(experiment.config, experiment.dataset(), experiment.shape, remembered)
    return Start(state, estimates, 0, None if ckpt is None else os.path.realpath(ckpt))


def resume(checkpoints, state, paths, config, keeps_estimates):
    """The Start of a workdir with checkpoints.

    state: the shapes of one. config: as it is now, to say what changed. keeps_estimates: whether the objective has
    any.
    """
    state, meta, estimates = checkpoints.restore(state)
    step, ckpt = int(state.step), paths.ckpt
    began_from = meta.get("began_from")
    if ckpt is not None and "began_from" in meta and os.path.realpath(ckpt) != began_from:
        raise ValueError(
            f"{paths.workdir} is at step {step} of a run that began from {began_from or 'new parameters'}: leave "
            f"--ckpt out to go on with it, or choose another --workdir to begin from {ckpt}"
        )
    if keeps_estimates and estimates is None:
        raise ValueError(f"checkpoint {step} holds no memory of its examples: it was trained with another objective")
    print(f"resuming {paths.workdir} at step {step}" + (f", which began from {ckpt}" if ckpt else ""), flush=True)
    for key, (old, new) in changes(meta["config"], config).items():
        print(f"  config.{key} was {old}, is now {new}", flush=True)
    return Start(state, estimates if keeps_estimates else None, meta["position"], began_from)


def changes(old, new, prefix=""):
    """{key: (old, new)} of the leaves in which two nested dicts differ."""
    found = {}
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= changes(a, b, f"{prefix}{key}.")
        elif a != b:
            found[prefix + key] = (a, b)
    return found
