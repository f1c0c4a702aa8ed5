"""What a run begins with: the newest checkpoint of its workdir, or the parameters of --ckpt, or new ones."""

import json
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from linnet.devices import parallel
from linnet.engine.estimates import first_rows
from linnet.files.json_files import write_json


class Start(NamedTuple):
    """What a run begins with: the state and memory on the host, examples consumed, path of the first parameters."""

    state: Any
    memory: np.ndarray | None
    position: int
    began_from: str | None


def start(experiment, checkpoints):
    """From the newest checkpoint of the workdir, else from the parameters of --ckpt, else from the beginning.

    ValueError where the processes of the run differ, or --ckpt is not what the run of the workdir began from.
    """
    text = json.dumps(experiment.config.to_dict())
    everything = f"{text} {len(experiment.examples())} {checkpoints.latest} {experiment.ckpt}"
    parallel.check_equal(everything, "their config, data or checkpoints")
    begin = first_start(experiment) if checkpoints.latest is None else resume(experiment, checkpoints, json.loads(text))
    os.makedirs(experiment.path("samples"), exist_ok=True)
    write_json(experiment.path("config.json"), experiment.config.to_dict())
    return begin


def first_start(experiment):
    """The Start of a workdir without checkpoints."""
    if experiment.ckpt is None:
        return Start(experiment.create_state(), first_rows(experiment), 0, None)
    print(f"starting from the parameters of {experiment.ckpt}", flush=True)
    state = experiment.state_of(experiment.trained)
    return Start(state, first_rows(experiment), 0, os.path.realpath(experiment.ckpt))


def resume(experiment, checkpoints, config):
    """The Start of a workdir with checkpoints. config: as it is now, to say what changed."""
    state, meta, memory = checkpoints.restore(jax.eval_shape(experiment.create_state))
    step, workdir, ckpt = int(state.step), experiment.workdir, experiment.ckpt
    began_from = meta.get("began_from")
    if ckpt is not None and "began_from" in meta and os.path.realpath(ckpt) != began_from:
        raise ValueError(
            f"{workdir} is at step {step} of a run that began from {began_from or 'new parameters'}: leave --ckpt out "
            f"to go on with it, or choose another --workdir to begin from {ckpt}"
        )
    if experiment.objective.remembers and memory is None:
        raise ValueError(f"checkpoint {step} holds no memory of its examples: it was trained with another objective")
    print(f"resuming {workdir} at step {step}" + (f", which began from {ckpt}" if ckpt else ""), flush=True)
    for key, (old, new) in changes(meta["config"], config).items():
        print(f"  config.{key} was {old}, is now {new}", flush=True)
    return Start(state, memory, meta["position"], began_from)


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
