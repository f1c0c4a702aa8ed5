"""Latents of an autoencoder in one .npz, as --mode=encode_data writes it.

    train_latents, val_latents, test_latents   float (N, H, W, C), as the autoencoder makes them; or latents: training
    train_labels ... or labels                 whole numbers (N,), and classes, their names; absent where there are none
    scale, shift                               numbers or (C,): a process is trained on x = (z - shift) scale
    autoencoder                                what made them (SHA-256 of its parameters); absent where nothing says

All latents of a split are held in memory.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from linnet.data.arrays import whole_numbers
from linnet.data.source import ArraySource
from linnet.data.splits import WORDS, pick
from linnet.files.npz import open_npz


class Latents(NamedTuple):
    """What a file says of all its latents. shape: (H, W, C) of one; scale, shift: float32, () or (C,)."""

    shape: tuple[int, ...]
    scale: np.ndarray
    shift: np.ndarray
    autoencoder: str


def read_head(path: Path) -> Latents:
    """What the file says, without reading its latents. ValueError where it is none of latents; OSError."""
    if not path.is_file():
        raise FileNotFoundError(f"config.data.latents={str(path)!r} does not exist: --mode=encode_data makes it")
    with open_npz(path) as arrays:
        name = next(iter(names(path, arrays).values()))
        channels = shape_of(path, name)[-1]
        scale, shift = (scaling(path, arrays, key, channels) for key in ("scale", "shift"))
        if not scale.all():
            raise ValueError(f"{path}: scale is 0, so that latents cannot be had back")
        return Latents(shape_of(path, name)[1:], scale, shift, str(arrays.get("autoencoder", "")))


def names(path: Path, arrays: Mapping) -> dict[str, str]:
    """{split: name of the array of its latents}. ValueError where there are none."""
    found = {split: f"{split}_latents" for split in WORDS if f"{split}_latents" in arrays}
    found |= {"train": "latents"} if "latents" in arrays else {}
    if not found:
        raise ValueError(
            f"{path} holds no latents, only {', '.join(arrays)}: looked for train_latents or latents, as in the "
            "files that --mode=encode_data writes"
        )
    return found


def shape_of(path: Path, name: str) -> tuple[int, ...]:
    """(N, H, W, C), from the head of the array. ValueError for an array of other axes."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        major, _ = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if len(shape) != 4 or not all(shape) or dtype.kind != "f":
        raise ValueError(f"{path}: {name} is {dtype} {shape}; expected floating point (N, H, W, C)")
    return shape


def scaling(path: Path, arrays: Mapping, key: str, channels: int) -> np.ndarray:
    """scale or shift, float32. ValueError where it is absent, not finite, or of other channels."""
    if key not in arrays:
        raise ValueError(f"{path} has no {key}: a process is trained on (latent - shift) scale; add both")
    value = np.asarray(arrays[key], np.float32)
    if value.shape not in ((), (channels,)) or not np.isfinite(value).all():
        raise ValueError(f"{path}: {key} is {value.shape}; expected one finite number, or one for each of {channels}")
    return value


def latents_source(path: Path, split: str) -> ArraySource:
    """(latent - shift) scale of a split, float32. NoSplit; ValueError as `read_head`, and for what is not finite."""
    head = read_head(path)
    with open_npz(path) as arrays:
        found = names(path, arrays)
        name = found[pick(found, split, f"data.latents={str(path)!r}")]
        x = (arrays[name].astype(np.float32) - head.shift) * head.scale
        stored = arrays.get(name.replace("latents", "labels"))
        classes = tuple(map(str, arrays.get("classes", ())))
    if x.shape[1:] != head.shape or not np.isfinite(x).all():
        raise ValueError(f"{path}: {name} are {x.shape[1:]}, the others {head.shape}, or not all are finite")
    labels = np.zeros(len(x), int) if stored is None else whole_numbers(stored, path)
    if len(labels) != len(x):
        raise ValueError(f"{path}: {len(x)} {name} and {len(labels)} labels; give a label to each")
    if stored is not None and not classes:
        classes = tuple(map(str, range(int(labels.max()) + 1)))
    return ArraySource(path.stem, split, x, labels, len(classes), classes)
