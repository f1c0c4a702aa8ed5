"""--mode=tune: the best times and coefficients for a network, process, method and number of evaluations, as a table.

table.json (see engine.tables) is what --config.sampling.table takes; under "tuned" it says how it was made. What is
found on the way is kept beside it until it is written, so that a run that ended goes on.
"""

import json
import os
import time
from typing import Any

import numpy as np
from jax import device_put
from ml_collections import ConfigDict

from linnet.engine import tables, tuning
from linnet.engine.experiment import Experiment
from linnet.engine.parts import Parts
from linnet.engine.progress import progress
from linnet.files.atomic import check_writable
from linnet.files.json_files import write_json
from linnet.samplers import optimal_times
from linnet.samplers.tuning import Starts, Tuner


def run(experiment: Experiment) -> None:
    """Writes table.json into the folder of the mode, or --result_folder, and prints the errors before and after.

    ValueError for a method that cannot be tuned, and for a depth that is unknown.
    """
    settings = experiment.config.tune
    if settings.depth not in tuning.DEPTHS:
        raise ValueError(f"config.tune.depth={settings.depth!r} is unknown; use one of {', '.join(tuning.DEPTHS)}")
    if experiment.config.sampling.table:
        raise ValueError("--mode=tune makes a table of a method: leave config.sampling.table out")
    sampler = experiment.sampler
    tuning.check(sampler, settings.fine_nfe)
    made_by = decisive(experiment.made_by(), settings)
    name = f"{made_by['sampling']['method']}_nfe{sampler.nfe}_{settings.depth}"
    folder = experiment.paths.result_folder or experiment.results("tune", name)
    path = os.path.join(folder, "table.json")
    check_writable(path)
    began = time.time()
    teacher = tuning.Teacher(experiment)
    params = device_put(experiment.weights)
    tuner = Tuner(sampler, teacher.eps_of, params, settings.history, settings.loss)
    parts, starts, held_out = wanted_ends(teacher, params, settings, folder, made_by)
    chosen = tuned_sampler(tuner, teacher, starts, held_out, settings, os.path.join(parts.folder, "descent.npz"))
    errors = {
        when: measured(tuner.errors(table.rows, held_out, settings.batch_size))
        for when, table in (("before", sampler), ("after", chosen))
    }
    content = tables.content(made_by["sampling"]["method"], chosen, experiment.processes)
    write_json(path, content | {"tuned": made_by | {"error": errors}})
    parts.remove()
    report(errors, time.time() - began, path)


def decisive(made_by: dict[str, Any], settings: ConfigDict) -> dict[str, Any]:
    """What a table depends on: as for samples, and the keys of config.tune."""
    return json.loads(json.dumps(made_by | {"tune": settings.to_dict()}))


def wanted_ends(
    teacher: tuning.Teacher, params: dict[str, Any], settings: ConfigDict, folder: str, made_by: dict[str, Any]
) -> tuple[Parts, Starts, Starts]:
    """(Parts, Starts to tune on, Starts held out), with the ends of fine trajectories, which the Parts keep."""
    total, size = settings.starts + settings.held_out, settings.batch_size
    parts = Parts(folder, made_by, -(-total // size))
    for k in progress(parts.mine, f"fine trajectories of {total} starts"):
        parts.save(k, {"x": teacher.ends(params, k * size, size)})
    x = np.concatenate(parts.join()["x"])[:total]
    u, condition = teacher.states(0, total)
    cut = settings.starts
    starts, held_out = (
        Starts(u[rows], x[rows], {key: value[rows] for key, value in condition.items()})
        for rows in (slice(None, cut), slice(cut, None))
    )
    return parts, starts, held_out


def tuned_sampler(
    tuner: Tuner, teacher: tuning.Teacher, starts: Starts, held_out: Starts, settings: ConfigDict, path: str
) -> Any:
    """The sampler that config.tune.depth finds."""
    sampler = tuner.sampler
    if settings.depth == "network_free":
        return tuning.bare(sampler, tuning.network_free(sampler))
    size, last = settings.batch_size, settings.starts
    batches = [(first, min(size, last - first)) for first in range(0, last, size)]
    jumps = optimal_times.forward(*teacher.jump_errors(tuner.params, batches), tuning.steps_of(sampler))
    if settings.depth == "forward":
        return tuning.bare(sampler, jumps)
    candidates = tuning.hand_made(sampler) | {"jumps": jumps}
    errors = tuning.best_times(tuner, candidates, starts, settings.batch_size)
    begun = tuner.begin(candidates[min(errors, key=lambda name: errors[name])])
    return tuner.tuned(tuning.descend(tuner, begun, starts, held_out, settings, path))


def measured(errors: np.ndarray) -> dict[str, float]:
    """The numbers of the errors of held-out starts."""
    return {"rms": tuning.root_mean_square(errors), "median": float(np.median(errors))}


def report(errors: dict[str, dict[str, float]], seconds: float, path: str) -> None:
    """Prints what was gained, or that nothing was."""
    words = (f"{name} {errors['before'][name]:.4g} -> {errors['after'][name]:.4g}" for name in ("rms", "median"))
    print(f"distance of held-out ends: {', '.join(words)}; {seconds:.0f} s: {path}")
    if errors["after"]["rms"] > errors["before"]["rms"]:
        print("the method without this table is better: try another config.tune.depth or sampling.grid")
