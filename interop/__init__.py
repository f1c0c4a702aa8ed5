"""Checkpoints of other projects, and our own, as parameters for our networks.

    load(path, config, params="ema") -> params       report(path, config) -> text       export(params, config, folder)
    load_with_kind(path, config, params="ema") -> params, and whether they are averages
    estimates(path) -> DDDM's estimates of its training images
    load_newest(path, config, params="ema") -> the same, and the step of a run that it was read from
    stored(path) -> the config that a network of our own was trained with
    classes(path) -> number and names of the classes that a network of our own was trained on

FORMATS names the readers. The format of a path is found from what it holds, never from its name, and nothing that a
file contains is executed. The parameters must fit the config exactly: every name, every shape.
"""

import os
from pathlib import Path

import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from linnet.files.refused import Refused, printable
from linnet.interop import (
    diffusers,
    edm,
    exported,
    improved_diffusion,
    own,
    score_sde,
    score_sde_pytorch,
    stored_config,
)
from linnet.interop.expected import expected_shapes
from linnet.interop.foreign import kind_of
from linnet.interop.mismatch import Mismatch, compare, needed
from linnet.interop.published import Loaded, check_kind

FORMATS = {
    "training run (Orbax)": own,
    "export (safetensors)": exported,
    "diffusers UNet2DModel": diffusers,
    "EDM, exported (npz or safetensors)": edm,
    "score_sde, gDDIM or score_flow (msgpack)": score_sde,
    "improved-diffusion, guided-diffusion or DDDM (torch)": improved_diffusion,
    "score_sde_pytorch or CLD-SGM (torch)": score_sde_pytorch,
}
"""Format -> module with recognises(path) -> bool and read(path, config, params) -> Loaded; the first match reads.

A module may have estimates(path), stored(path) and steps(path) as well.
"""

export = exported.write


def load(
    path: str | os.PathLike,
    config: ConfigDict,
    params: str = "ema",
    *,
    shape: tuple[int, ...] | None = None,
    k: int | None = None,
) -> dict:
    """The tree for `module.apply({"params": tree}, ...)`, float32 NumPy arrays.

    params: "ema" (the averages) or "raw". shape: (H, W, C) of the images or (D,) of the points, k: components of the
    state per channel; both follow from config.data and config.sde where they are None.
    Raises FileNotFoundError; Refused for a file that cannot be read; ValueError for one that does not fit the config:
    its first line says which keys differ most likely, the others list every name with both shapes; and for parameters
    that are not finite in float32, naming the first.
    """
    return load_newest(path, config, params, shape=shape, k=k)[0]


def load_with_kind(
    path: str | os.PathLike,
    config: ConfigDict,
    params: str = "ema",
    *,
    shape: tuple[int, ...] | None = None,
    k: int | None = None,
) -> tuple[dict, str]:
    """What `load` gives, and what it is: "ema", "raw", or "unknown" where the file holds one set and does not say."""
    return load_newest(path, config, params, shape=shape, k=k)[:2]


def load_newest(
    path: str | os.PathLike,
    config: ConfigDict,
    params: str = "ema",
    *,
    shape: tuple[int, ...] | None = None,
    k: int | None = None,
) -> tuple[dict, str, Path]:
    """What `load_with_kind` gives, and the path of the step that it was read from (see `_newest_whole`)."""

    def read(step):
        name, published, mismatch = _examine(step, config, params, shape, k)
        if mismatch:
            first = f"{step} ({name}) does not fit the config: {mismatch.summary()}"
            raise ValueError("\n".join([first, *mismatch.lines()]))
        leaves = {key: np.array(leaf, np.float32, order="C") for key, leaf in published.leaves.items()}
        if bad := _not_finite(leaves):
            raise Refused(
                f"{step} ({name}): {bad}; the file is damaged, or its training had diverged: load an earlier one"
            )
        return traverse_util.unflatten_dict(leaves, sep="/"), published.kind

    step, found = _newest_whole(path, read)
    return *found, step


def _newest_whole(path, read):
    """(step, read(step)) of the newest step of the run at `path` that is whole; any other file is one step.

    read: raises Refused for a damaged step, which is passed over with a line; the last one is not. A step that training
    deletes meanwhile does not count.
    """
    reader = FORMATS[detect(path)]
    damaged = []
    for step in reader.steps(Path(path)) if hasattr(reader, "steps") else [Path(path)]:
        try:
            found = read(step)
        except (ValueError, OSError) as error:
            if not step.exists():
                return _newest_whole(path, read)
            if not isinstance(error, Refused):
                raise
            damaged.append(str(error))
        else:
            for text in damaged:
                print(f"passed over: {text}; reading {step}", flush=True)
            return step, found
    raise Refused(damaged[0] if len(damaged) == 1 else f"{path} has no whole checkpoint ({'; '.join(damaged)})")


def report(
    path: str | os.PathLike,
    config: ConfigDict,
    params: str = "ema",
    *,
    shape: tuple[int, ...] | None = None,
    k: int | None = None,
) -> str:
    """What `load` finds, as text: format, number of parameters, and every name that differs with both shapes."""
    step, (name, published, mismatch) = _newest_whole(path, lambda step: _examine(step, config, params, shape, k))
    total = sum(int(np.prod(leaf.shape)) for leaf in published.leaves.values())
    kind = "parameters of unknown kind (ema or raw)" if published.kind == "unknown" else f"{published.kind} parameters"
    first = f"{step}: {name}, {kind}, {len(published.leaves)} arrays, {total:,} numbers"
    first += f"; left out: {printable(', '.join(published.left_out))}" if published.left_out else ""
    if not mismatch:
        return f"{first}; {_not_finite(published.leaves) or 'all names and shapes fit the config'}"
    return "\n".join([first, f"does not fit the config: {mismatch.summary()}", *mismatch.lines()])


def _not_finite(leaves):
    """Which parameters are NaN or infinite in float32, as text; "" for none."""
    with np.errstate(over="ignore"):
        counts = {name: int((~np.isfinite(np.asarray(leaf, np.float32))).sum()) for name, leaf in leaves.items()}
    bad = [name for name, count in counts.items() if count]
    others = f" (and so do {len(bad) - 1} other leaves)" if bad[1:] else ""
    return printable(f"{bad[0]} holds {counts[bad[0]]} numbers that are NaN or infinite{others}") if bad else ""


def estimates(path: str | os.PathLike) -> np.ndarray | None:
    """The estimates of the training images in a file or a run of DDDM, (N, H, W, C) in their order; None for others."""
    reader = FORMATS[detect(path)]
    return reader.estimates(Path(path)) if hasattr(reader, "estimates") else None


def stored(path: str | os.PathLike) -> dict:
    """The config that is stored with parameters of our own, a dict of groups; {} where none is."""
    reader = FORMATS[detect(path)]
    return reader.stored(Path(path)) if hasattr(reader, "stored") else {}


def classes(path: str | os.PathLike) -> tuple[int | None, tuple[str, ...]]:
    """(number, names) of the classes of parameters of our own, as their config says; (None, ()) where none does."""
    return stored_config.classes(stored(path))


def detect(path: str | os.PathLike) -> str:
    """The key of FORMATS that reads `path`. FileNotFoundError, or Refused saying what the file looks like."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")
    for name, reader in FORMATS.items():
        if reader.recognises(path):
            return name
    raise Refused(f"{path}: {kind_of(path)}")


def _examine(path, config, params, shape, k) -> tuple[str, Loaded, Mismatch]:
    check_kind(params)
    name = detect(path)
    published = FORMATS[name].read(Path(path), config, params)
    try:
        expected = expected_shapes(config, shape, k)
    except ValueError as error:  # of a network that cannot be made
        flags = needed(published.fields, config)
        more = f"; the file needs {flags}" if flags else ""
        raise ValueError(f"{path} ({name}): {str(error).splitlines()[0]}{more}") from error
    return name, published, compare(published, expected, config)
