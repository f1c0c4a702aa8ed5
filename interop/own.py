"""Our own checkpoints: folders of Orbax steps that training writes (see training/checkpoint.py).

A path may be a workdir, its folder `checkpoints`, or one step in it; without a step the newest complete one is read.
"""

import json
from pathlib import Path

from flax import traverse_util

from linnet.files.refused import Refused
from linnet.interop import stored_config
from linnet.interop.published import Published

STATE, MEMORY = "state", "memory"
WHERE = {"ema": ("ema", "0"), "raw": ("params",)}
META = "meta/metadata"  # JSON, as Orbax writes it


def recognises(path: Path) -> bool:
    """Whether the path is a step, or holds steps."""
    return _step(path) is not None


def _step(path):
    """The folder of the step that `path` means, or None."""
    if (path / STATE).is_dir():
        return path
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    steps = [p for p in folder.iterdir() if p.name.isdigit() and (p / STATE).is_dir()] if folder.is_dir() else []
    return max(steps, key=lambda p: int(p.name), default=None)


def read(path: Path, config, params: str) -> Published:
    """The averages of the first EMA rate, or the raw parameters."""
    step = _step(path)
    tree = _restore(step / STATE)
    for key in WHERE[params]:
        if not isinstance(tree, dict) or key not in tree:
            raise Refused(f"{step}: an Orbax checkpoint without {'/'.join(WHERE[params])}, so none of a training run")
        tree = tree[key]
    config = stored(step)
    fields = stored_config.fields(step / META, config) if config else {}
    return Published(traverse_util.flatten_dict(tree, sep="/"), fields, kind=params)


def stored(path: Path) -> dict:
    """The config of the run; {} where it was not kept."""
    try:
        return json.loads((_step(path) / META).read_text())["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def estimates(path: Path):
    """What training kept of its examples, (N, ...), or None."""
    folder = _step(path) / MEMORY
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
