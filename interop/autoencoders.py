"""Folders of diffusers' AutoencoderKL (a pipeline's is in vae/) -> our module of the same names and its parameters."""

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from linnet.files.refused import Refused
from linnet.interop import diffusers_folder
from linnet.models.autoencoder_kl import AutoencoderKL

ONLY = {
    "act_fn": ("silu", "swish"),
    "latents_mean": (None,),
    "latents_std": (None,),
}
"""Options of config.json with the values that are read."""

OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of earlier versions of diffusers."""

LEAVES = {"weight": {1: "scale", 2: "kernel", 4: "kernel"}, "bias": {1: "bias"}}


class Autoencoder(NamedTuple):
    """module: with methods encode and decode; params: its tree; a process is trained on (z - shift) scale."""

    module: AutoencoderKL
    params: dict
    scale: float
    shift: float


def recognises(path: Path) -> bool:
    """Whether the path is a folder of an AutoencoderKL, or of a pipeline with one."""
    return find(path) is not None


def find(path: Path) -> diffusers_folder.Folder | None:
    """The folder with the config.json, or None."""
    for place in (path, path / "vae"):
        settings = diffusers_folder.read_json(place / "config.json")
        if settings.get("_class_name") == "AutoencoderKL":
            return diffusers_folder.Folder(place, settings)
    return None


def load(path: Path) -> Autoencoder:
    """The autoencoder at `path`. Refused where an option or an array is not as AutoencoderKL of ours has it."""
    folder = find(path)
    if folder is None:
        raise Refused(f"{path}: no folder of an AutoencoderKL: it has no config.json that says so")
    settings = folder.settings
    refuse_others(folder)
    fields = {field.name for field in dataclasses.fields(AutoencoderKL)} - {"parent", "name"}
    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items() if key in fields
    }
    module = AutoencoderKL(**given)
    arrays, _ = diffusers_folder.read(folder, "ema")
    leaves = dict(renamed(name, array) for name, array in arrays.items())
    check(folder.path, leaves, expected(module))
    params = traverse_util.unflatten_dict({name: jnp.asarray(leaf) for name, leaf in leaves.items()}, sep="/")
    return Autoencoder(module, params, settings.get("scaling_factor", 0.18215), settings.get("shift_factor") or 0.0)


def refuse_others(folder: diffusers_folder.Folder) -> None:
    """Refused for options with other values, and for other blocks."""
    settings, where = folder.settings, folder.path / "config.json"
    for key, values in ONLY.items():
        if settings.get(key, values[0]) not in values:
            raise Refused(f"{where}: {key}={settings[key]!r} is not supported")
    for key, block in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        if set(settings.get(key, [block])) != {block}:
            raise Refused(f"{where}: {key}={settings[key]!r} is not supported, only {block}")


def renamed(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """The name and the array as Flax has them: encoder.down_blocks.0.x.weight is encoder/down_blocks_0/x/kernel."""
    parts = [OLD.get(part, part) for part in name.split(".")]
    path = re.sub(r"/(\d+)", r"_\1", "/".join(parts[:-1]).replace(".", "/"))
    if "attentions" in path and array.ndim == 4:  # 1 x 1 convolutions of the earliest files
        array = array[:, :, 0, 0]
    leaf = LEAVES.get(parts[-1], {}).get(array.ndim, parts[-1])
    axes = {2: (1, 0), 4: (2, 3, 1, 0)}.get(array.ndim)
    return f"{path}/{leaf}", np.asarray(array.transpose(axes) if axes else array, np.float32)


def expected(module: AutoencoderKL) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters."""
    side = 2 ** (len(module.block_out_channels) - 1)
    x = jax.ShapeDtypeStruct((1, side, side, module.in_channels), jnp.float32)
    tree = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
    return {name: leaf.shape for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()}


def check(path: Path, leaves: dict[str, np.ndarray], wanted: dict[str, tuple[int, ...]]) -> None:
    """Refused where names or shapes differ; the first that does is named."""
    found = {name: leaf.shape for name, leaf in leaves.items()}
    different = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if different:
        one = different[0]
        raise Refused(
            f"{path}: {one} is {found.get(one, 'not there')}, by config.json it is {wanted.get(one, 'not there')} "
            f"({len(different)} arrays differ)"
        )
