"""Parameters in a form that NumPy alone can read: a folder of model.safetensors and config.json.

model.safetensors   float32, names "Conv_0/kernel", layouts as in the network (HWIO, (in, out))
config.json         {"format": "linnet", "version": 1, "config": the resolved config}
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from linnet.files.json_files import write_json
from linnet.files.refused import Refused
from linnet.interop import safetensors, stored_config
from linnet.interop.published import Loaded

FORMAT, VERSION = "linnet", 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write(params: Any, config: ConfigDict, folder: str | os.PathLike) -> Path:
    """Writes `params` (the tree for module.apply) and `config` into `folder`, made if absent; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    flat = traverse_util.flatten_dict(params, sep="/")
    arrays = {name: np.asarray(flat[name], np.float32) for name in sorted(flat)}
    safetensors.write(folder / WEIGHTS, arrays, {"format": FORMAT})
    description = {"format": FORMAT, "version": VERSION, "config": config.to_dict()}
    write_json(folder / CONFIG, description)
    return folder


def recognises(path: Path) -> bool:
    """Whether the path is such a folder, or the weights in one."""
    return _description(path) is not None


def _description(path):
    folder = path if path.is_dir() else path.parent
    try:
        description = json.loads((folder / CONFIG).read_text())
        ours = path.is_dir() or path.name == WEIGHTS
        return description if ours and description.get("format") == FORMAT else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def stored(path: Path) -> dict:
    """The config that was exported with the parameters; {} where there is none."""
    return _description(path).get("config", {})


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The parameters; the folder holds one set (the averages, unless the raw ones were asked for at export)."""
    description = _description(path)
    version, config = description.get("version"), description.get("config")
    if type(version) is not int or version > VERSION:
        raise Refused(f"{path}: version {version!r} of the format is not {VERSION}; update Linnet if it is newer")
    folder = path if path.is_dir() else path.parent
    if not (folder / WEIGHTS).is_file():
        raise Refused(f"{folder}: {CONFIG} without {WEIGHTS}")
    fields = stored_config.fields(folder / CONFIG, config)
    return Loaded(safetensors.read(folder / WEIGHTS)[0], fields, kind=stored_config.kind(config))
