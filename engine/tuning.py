"""What --mode=tune tunes: starts, the ends of fine trajectories from them, and the table by config.tune.depth.

network_free   times, from the table alone
forward        times, from the errors of single jumps along fine trajectories
gradient       times and corrections, from the better of these and of the library's grids, by descent on
               config.tune.loss of the distance of the ends, until held-out starts say stop
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet.arrays import Array, EpsFn, Host
from linnet.engine.progress import progress
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers import get_sampler, grids, optimal_times, tuning
from linnet.samplers.exponential import Recursion, integrate
from linnet.samplers.frames import chosen
from linnet.samplers.tuning import Parameters, Starts, Tuner

DEPTHS = ("network_free", "forward", "gradient")
FINE = {"method": "gddim", "deis_order": 2}
"""How fine trajectories are followed, on the grid of the process."""

EVERY = 20
"""Iterations of L-BFGS with one memory."""

KNOTS = 64
"""At most so many times of the fine trajectories are what depth forward chooses from."""

PATIENCE = 40
"""Iterations without a better one on held-out starts that end the descent."""


def bare(sampler: Any, times: Host) -> Any:
    """`sampler` along other times (steps + 1,)."""
    return dataclasses.replace(sampler, times=tuple(np.asarray(times).tolist()), times_in="t")


def root_mean_square(errors: Host) -> float:
    """Of the errors of starts (n,)."""
    return float(np.sqrt((errors**2).mean()))


class Teacher:
    """Starts of the images from number `first` on and the ends of their fine trajectories.

    They have a purpose of their own among the random numbers, so that no tuned start is one that is drawn for samples.
    """

    def __init__(self, experiment):
        config = experiment.config
        self.experiment, self.sde = experiment, experiment.sde
        sampling = FINE | {"nfe": config.tune.fine_nfe, "noise_removal": experiment.sampler.noise_removal}
        self.fine = get_sampler(ConfigDict({"sampling": sampling}), self.sde)
        self._follow = jax.jit(lambda params, u, condition: self.sde.project(self._end(params, u, condition)[0]))
        self._visit = jax.jit(lambda params, u, condition: self._end(params, u, condition, trajectory=True))

    def eps_of(self, params: dict[str, Any], condition: dict[str, Any]) -> EpsFn:
        """eps(u, t) of the network with its condition."""
        return self.experiment.guided.bind(params, condition)

    def _end(self, params, u, condition, trajectory=False):
        frames = chosen(trajectory, len(self.fine.rows.times))
        return integrate(self.eps_of(params, condition), u, self.fine.rows, frames=frames)

    def states(self, first: int, n: int) -> tuple[Array, dict[str, np.ndarray]]:
        """(u (n, ...) at T, their conditions)."""
        index = np.arange(first, first + n, dtype=np.int32)
        keys = fold(key_for(self.experiment.config.seed, Purpose.TUNING, index), Part.PRIOR)
        return self.sde.prior(keys, (n, *self.experiment.shape)), self.experiment.conditions(index)

    def ends(self, params: dict[str, Any], first: int, n: int) -> np.ndarray:
        """The ends x* (n, ...)."""
        u, condition = self.states(first, n)
        return np.asarray(self._follow(params, u, condition))

    def jump_errors(self, params: dict[str, Any], starts: Sequence[tuple[int, int]]) -> tuple[Host, Host]:
        """(times (M,), mean squared errors of jumps (M, M)) over the batches of `starts`: [(first, n)]."""
        steps = len(self.fine.rows.times) - self.fine.noise_removal
        knots = np.unique(np.linspace(0, steps, max(KNOTS, steps_of(self.experiment.sampler) + 1)).round().astype(int))
        times = np.append(self.fine.rows.times[:steps], self.sde.t_min)[knots]
        total: Any = 0.0
        for first, n in progress(starts, "jumps along fine trajectories"):
            end, (states, eps) = self._visit(params, *self.states(first, n))
            states = states if self.fine.noise_removal else jnp.concatenate([states, end[None]])
            total = total + n * optimal_times.jump_errors(self.sde, times, states[knots], eps[knots[:-1]])
        return times, total / sum(n for _, n in starts)


def steps_of(sampler: Any) -> int:
    """The number of steps of an untuned sampler."""
    return (len(sampler.rows.times) - sampler.noise_removal) // sampler.nfe_per_step


def hand_made(sampler: Any) -> dict[str, Host]:
    """{name: times} of the library's grids for the steps of the sampler, "own" being what it has."""
    n, found = steps_of(sampler), {"own": own_times(sampler)}
    for name in ("power", "uniform", "log_snr", "rho"):
        found[name] = grids.make_grid(name, sampler.sde, n)
    return found


def own_times(sampler: Any) -> Host:
    """The times (steps + 1,) of the untuned sampler's steps."""
    if len(sampler.times):
        return grids.explicit(sampler.sde, sampler.times, sampler.times_in)
    return sampler.grid_times(steps_of(sampler))


def network_free(sampler: Any) -> Host:
    """Times by depth network_free, from the sampler's own; a denoising step would hide all evaluations but the last."""
    sde, steps = sampler.sde, dataclasses.replace(sampler, noise_removal=False)

    def objective(lengths):
        return optimal_times.bound(sde, bare(steps, tuning.times_of(sde, lengths, False)).rows)

    start = tuning.lengths_of(sde, own_times(sampler), False)
    return tuning.times_of(sde, optimal_times.network_free(objective, start), False)


def check(sampler: Any, fine_nfe: int) -> None:
    """ValueError unless the sampler is an untuned table without noise, of fewer evaluations than fine trajectories."""
    if not isinstance(sampler, Recursion):
        raise ValueError("config.sampling.method must be a table for --mode=tune, such as gddim or unipc")
    if sampler.stochastic:
        raise ValueError("--mode=tune needs a method without noise: a table with noise has no trajectory to tune to")
    if fine_nfe <= sampler.nfe:
        raise ValueError(f"config.tune.fine_nfe={fine_nfe} must be more than the {sampler.nfe} that are tuned")


def best_times(tuner: Tuner, candidates: dict[str, Host], starts: Starts, batch: int) -> dict[str, float]:
    """{name: loss on the starts} of the untuned tables along {name: times}."""
    return {
        name: tuner.loss_of(tuner.begin(times), starts, batch)
        for name, times in progress(candidates.items(), "times to begin from")
    }


class Search(NamedTuple):
    """A descent after some iterations, the best parameters on held-out starts so far and their loss.

    waited: iterations since the best one.
    """

    iteration: int
    parameters: Parameters
    best: Parameters
    loss: float
    waited: int


def descend(
    tuner: Tuner, parameters: Parameters, starts: Starts, held_out: Starts, settings: ConfigDict, path: str
) -> Parameters:
    """The Parameters with the smallest loss on held-out starts, by descent from `parameters`.

    path: of the file that keeps the state after every EVERY iterations, where the memory of L-BFGS begins anew; a run
    that ended goes on from it, and comes to the same.
    """
    batch = settings.batch_size

    def loss_of(parameters):
        return tuner.loss_of(parameters, held_out, batch)

    search = resumed(Search(0, parameters, parameters, loss_of(parameters), 0), path)
    rounds = range(search.iteration, settings.iterations, EVERY)
    for first in progress(rounds, "descent", -(-settings.iterations // EVERY)):
        if search.waited >= PATIENCE:
            break
        seen: list[Parameters] = []
        steps = min(EVERY, settings.iterations - first)
        last = tuner.descend(search.parameters, starts, batch, steps, seen.append)
        candidates = [(search.loss, search.best), *((loss_of(at), at) for at in seen)]
        loss, best = min(candidates, key=lambda pair: pair[0])
        waited = 0 if loss < search.loss else search.waited + steps
        if len(seen) < steps:
            waited = PATIENCE  # a minimum, to rounding
        search = Search(first + steps, last, best, loss, waited)
        with atomic_write(path) as file:
            np.savez(file, *jax.tree.leaves(search))
    return search.best


def resumed(search: Search, path: str) -> Search:
    """The Search that was kept in the file, or this one where there is none."""
    if not os.path.exists(path):
        return search
    with open_npz(path) as arrays:
        leaves = [arrays[f"arr_{i}"] for i in range(len(jax.tree.leaves(search)))]
    found = jax.tree.unflatten(jax.tree.structure(search), leaves)
    print(f"{path}: going on after {found.iteration} iterations", flush=True)
    return found._replace(iteration=int(found.iteration), waited=int(found.waited))
