"""Checkpoints: one Orbax directory per step, atomic and asynchronous, with everything a run needs to go on.

state    parameters, EMA, optimiser state, step and what the objective keeps, as host arrays
memory   the estimates of every training example (see training.estimates), (N, ...), where anything is
meta     position (examples consumed), the resolved config, the path of the parameters that the run began from, whether
         the checkpoint is kept for good, versions

One process writes; any number may read meanwhile, and change nothing.
"""

import importlib.metadata
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet.arrays import Array


class NonFinite(RuntimeError):
    """A state holds NaN or infinity; the message says where."""


class Restored(NamedTuple):
    """A checkpoint. estimates: (N, ...), or None where nothing is kept of the examples."""

    state: Any
    meta: dict
    estimates: np.ndarray | None


class Retention:
    """Which checkpoints Orbax leaves: the newest `last`, and the steps in `for_good`."""

    def __init__(self, last):
        self.last = last
        self.for_good = set()

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Whether each of Orbax's checkpoints, oldest first, is kept."""
        newest = {info.step for info in checkpoints[-self.last :]}
        return [info.step in newest | self.for_good for info in checkpoints]


def newest(directory: str) -> int | None:
    """Step of the newest complete checkpoint in a directory, or None: Orbax names those being written otherwise."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return max((int(name) for name in names if name.isdigit()), default=None)


class Checkpoints:
    """The checkpoints in `directory`.

    keep_last: for the one process that writes, how many of the newest are kept beside those saved for good, at least 1;
    None reads only. ValueError for another number.
    """

    def __init__(self, directory, keep_last=None):
        import orbax.checkpoint as ocp

        if keep_last is not None and keep_last < 1:
            raise ValueError(f"config.training.keep_checkpoints={keep_last} must be at least 1: the last one is kept")
        self._ocp = ocp
        self._directory = os.path.abspath(directory)
        writes = keep_last is not None
        own = jax.process_index()
        self._retention = Retention(keep_last) if writes else None
        if writes:
            os.makedirs(self._directory, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            create=False,
            cleanup_tmp_directories=writes,
            preservation_policy=self._retention,
            # Each process for itself: the state is the same in all, and one writes it.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process_{own}"
            ),
        )
        self._manager = ocp.CheckpointManager(self._directory, options=options)
        if writes:
            self._retention.for_good |= {step for step in self._manager.all_steps() if self._is_for_good(step)}

    @property
    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def _meta(self, step):
        args = self._ocp.args.Composite(meta=self._ocp.args.JsonRestore())
        return self._manager.restore(step, args=args)["meta"]

    def _is_for_good(self, step):
        """Whether `step` was saved for good; what cannot be read is not deleted either."""
        try:
            return self._meta(step).get("for_good", False)
        except Exception:  # Orbax reports absent and damaged files by many types
            return True

    def save(
        self,
        state: Any,
        *,
        position: Array,
        config: ConfigDict,
        estimates: np.ndarray | None = None,
        for_good: bool = False,
        began_from: str | None = None,
    ) -> None:
        """Writes `state` (host arrays) in the background under its step; a step that exists is left as it is.

        estimates: (N, ...) of the examples; it must not change any more. for_good: it is not deleted later. began_from:
        path of the parameters that the run began from. OSError where this or the save before fails.
        """
        step = int(state.step)
        ocp = self._ocp
        if step == self.latest:
            return
        tree = jax.tree.map(np.asarray, _plain(state))
        meta = {"position": position, "config": config.to_dict(), "versions": versions()}
        meta |= {"for_good": for_good, "began_from": began_from}
        items = {"state": ocp.args.StandardSave(tree), "meta": ocp.args.JsonSave(meta)}
        if estimates is not None:
            items["memory"] = ocp.args.StandardSave({"rows": estimates})
        if for_good:
            self._retention.for_good.add(step)
        self._finish(lambda: self._manager.save(step, args=ocp.args.Composite(**items)))

    def check(self) -> None:
        """OSError where the last save has failed meanwhile."""
        self._finish(self._manager.check_for_errors)

    def close(self) -> None:
        """Waits until everything is on disk; OSError where it could not be written."""
        try:
            self._finish(self._manager.wait_until_finished)
        finally:
            self._manager.close()

    def _finish(self, writing):
        try:
            writing()
        except Exception as error:  # full disks come as ValueError of TensorStore too
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # each of its tasks would show the same once more
            complete = newest(self._directory)
            last = "there is none yet" if complete is None else f"the last complete one is of step {complete}"
            raise OSError(f"no checkpoint could be written to {self._directory} ({brief(error)}); {last}") from error

    def restore(self, state: Any, say: Callable[[str], Any] = print) -> Restored:
        """The newest checkpoint that is whole, its state in the structure of `state` (arrays or their shapes).

        say: told which newer ones are damaged; the process that writes puts them aside, into <directory>_damaged.
        ValueError where none is whole, or names the first leaf that is missing, unexpected or of another shape.
        """
        damaged = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                saved, meta, estimates = self._read(step)
            except Exception as error:  # Orbax reports absent and damaged files by many types
                damaged[step] = error
                continue
            restored = Restored(_rebuild(state, saved, f"checkpoint {step}"), meta, estimates)
            for broken, reason in damaged.items():
                say(f"checkpoint {broken} is damaged ({brief(reason)}): going on from {step}{self._put_aside(broken)}")
            return restored
        reasons = "; ".join(f"{step}: {brief(error)}" for step, error in damaged.items())
        raise ValueError(f"{self._directory} has no whole checkpoint ({reasons or 'none at all'})")

    def _read(self, step):
        """(state as in `_plain`, meta, estimates or None) of a step. ValueError where they cannot be gone on from."""
        ocp = self._ocp
        items = {"state": ocp.args.StandardRestore(), "meta": ocp.args.JsonRestore()}
        if os.path.isdir(os.path.join(self._directory, str(step), "memory")):
            items["memory"] = ocp.args.StandardRestore()
        saved = self._manager.restore(step, args=ocp.args.Composite(**items))
        if not {"position", "config"} <= saved["meta"].keys():
            raise ValueError("its meta data lack the position or the config")
        check_finite(saved["state"])
        estimates = saved["memory"]["rows"] if "memory" in items else None
        check_finite({"estimates": estimates})
        return saved["state"], saved["meta"], estimates

    def _put_aside(self, step):
        """Moves a damaged step, whose number will be needed again, and says where to."""
        if self._retention is None:
            return ""
        aside = f"{self._directory}_damaged"
        os.makedirs(aside, exist_ok=True)
        target = os.path.join(aside, f"{step}_{len(os.listdir(aside))}")
        shutil.move(os.path.join(self._directory, str(step)), target)
        self._retention.for_good.discard(step)
        self._manager.reload()
        return f"; what is left of it is in {target}"


def brief(error: Exception) -> str:
    """Beginning and end of the message of another package's error, in one line: the cause is named last."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) < 200 else f"{text[:80]} ... {text[-110:]}"


def check_finite(tree: Any) -> None:
    """NonFinite names the first array of a tree, or a TrainState, on the host that holds NaN or infinity."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise NonFinite(f"{name} holds values that are not finite")


def _plain(state):
    """The state as nested dicts, the form on disk: free of optax's classes."""
    ema = {str(i): tree for i, tree in enumerate(state.ema)}
    plain = {"step": state.step, "params": state.params, "ema": ema, "opt_state": _named(state.opt_state)}
    return plain | ({"extra": _named(state.extra)} if jax.tree.leaves(state.extra) else {})


def _named(tree):
    """The leaves of a tree by their paths."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _rebuild(state, saved, where):
    """`saved` (see `_plain`) as a state of the structure of `state`."""
    ours, theirs = (
        {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (_plain(state), saved))
    )
    for name in sorted(ours.keys() | theirs.keys()):
        shapes = [np.shape(side[name]) if name in side else "nothing" for side in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{where} holds {shapes[0]} as {name}, where the config asks for {shapes[1]}")
    opt_state, extra = (
        jax.tree.unflatten(jax.tree.structure(tree), [saved[key][name] for name in _named(tree)])
        for key, tree in (("opt_state", state.opt_state), ("extra", state.extra))
    )
    return state.replace(
        step=saved["step"],
        params=saved["params"],
        ema=tuple(saved["ema"][str(i)] for i in range(len(state.ema))),
        opt_state=opt_state,
        extra=extra,
    )


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    return {name: importlib.metadata.version(name) for name in names}
