"""Our own checkpoints: folders of Orbax steps that training writes (see training/checkpoint.py).

A path may be a workdir, its folder `checkpoints`, or one step in it; of several steps the newest is read.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from linnet.files.refused import Refused
from linnet.interop import stored_config
from linnet.interop.published import Loaded

STATE = "state"
ESTIMATES = "memory"
WHERE = {"ema": ("ema", "0"), "raw": ("params",)}
META = "meta/metadata"  # JSON, as Orbax writes it


def recognises(path: Path) -> bool:
    """Whether the path is a step, or holds steps."""
    return any((step / STATE).is_dir() for step in steps(path))


def steps(path: Path) -> list[Path]:
    """The folders of the steps that `path` may mean, newest first."""
    if (path / STATE).is_dir():
        return [path]
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    found = [p for p in folder.iterdir() if p.name.isdigit() and p.is_dir()] if folder.is_dir() else []
    return sorted(found, key=lambda p: int(p.name), reverse=True)


def read(step: Path, config: ConfigDict, params: str) -> Loaded:
    """The averages of the first EMA rate, or the raw parameters. Refused where they or their config are damaged."""
    tree = part(step, WHERE[params])
    config = _config(step)
    fields = stored_config.fields(step / META, config) if config else {}
    return Loaded(traverse_util.flatten_dict(tree, sep="/"), fields, kind=params)


def part(step: Path, names: tuple[str, ...]) -> dict:
    """The tree that lies in the state of a step under these names, one below the other. Refused where there is none."""
    tree = _restore(step / STATE)
    for name in names:
        if not isinstance(tree, dict) or name not in tree:
            raise Refused(f"{step}: an Orbax checkpoint without {'/'.join(names)}, so none of a training run")
        tree = tree[name]
    return tree


def stored(path: Path) -> dict:
    """The config of the run, from the newest step that has a whole one; {} where it was not kept."""
    for step in steps(path):
        with contextlib.suppress(Refused):
            if config := _config(step):
                return config
    return {}


def _config(step):
    """The config in a step; {} where it was not kept."""
    try:
        return json.loads((step / META).read_text())["config"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        advice = f"delete {step / META} to read the parameters without it"
        raise Refused(f"{step / META}: damaged, so that nothing says what network it is of; {advice}") from error


def estimates(path: Path) -> np.ndarray | None:
    """The estimates of the examples, (N, ...), or None."""
    folder = steps(path)[0] / ESTIMATES
    return _restore(folder)["rows"] if folder.is_dir() else None


def _restore(folder):
    """The tree in a folder of Orbax. Refused where it cannot be read."""
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(folder.absolute())
    except Exception as error:  # Orbax reports absent and damaged files by many types
        text = " ".join(str(error).split())
        raise Refused(f"{folder}: unreadable Orbax checkpoint ({type(error).__name__}: {text[:200]})") from error
