"""Checkpoints: one Orbax directory per step, atomic and asynchronous, with everything a run needs to go on.

state    parameters, EMA, optimiser state, step and what the objective keeps, as host arrays
memory   what is kept of every training example (see data.memory), (N, ...), where anything is
meta     position (examples consumed), the resolved config, versions
"""

import importlib.metadata
import os

import jax
import numpy as np


class Checkpoints:
    """The checkpoints in `directory`: the last `keep_last`, and for good those of every `keep_period` steps."""

    def __init__(self, directory, keep_last=2, keep_period=None):
        import orbax.checkpoint as ocp

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep_last, keep_period=keep_period, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(os.path.abspath(directory), options=options)

    @property
    def latest(self):
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, state, *, position, config, memory=None):
        """Writes `state` (host arrays) in the background under its step; a step that exists is left as it is.

        memory: (N, ...) of the examples; it must not change any more.
        """
        step, ocp = int(state.step), self._ocp
        if step == self.latest:
            return
        tree = jax.tree.map(np.asarray, _plain(state))
        meta = {"position": position, "config": config.to_dict(), "versions": versions()}
        items = {"state": ocp.args.StandardSave(tree), "meta": ocp.args.JsonSave(meta)}
        if memory is not None:
            items["memory"] = ocp.args.StandardSave({"rows": memory})
        self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, state, step=None):
        """(state, meta) of `step` (default: the newest) in the structure of `state` (arrays or their shapes).

        ValueError names the first leaf that is missing, unexpected or of another shape.
        """
        ocp, step = self._ocp, self.latest if step is None else step
        args = ocp.args.Composite(state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore())
        saved = self._manager.restore(step, args=args)
        return _rebuild(state, saved["state"], f"checkpoint {step}"), saved["meta"]

    def restore_memory(self):
        """The memory (N, ...) of the newest step. ValueError where it has none."""
        ocp, step = self._ocp, self.latest
        if "memory" not in dict(self._manager.item_metadata(step).items()):
            raise ValueError(
                f"checkpoint {step} holds no memory of its examples: it was trained with another objective"
            )
        return self._manager.restore(step, args=ocp.args.Composite(memory=ocp.args.StandardRestore()))["memory"]["rows"]

    def close(self):
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


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
