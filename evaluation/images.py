"""Arrays of samples as batches of uint8 images: one .npz, or a folder of samples_*.npz.

The key is `samples` (ours and score_sde's), `arr_0` (ADM's), `images` or `train_images` (MedMNIST's). From a folder
that has batches samples_<k>.npz these alone are read, so that ADM's samples_<N>x<H>x<W>x<C>.npz, which holds the same
images, does not count twice, in sorted order. Picture files are read by the reader of the data (data/folder.py), which
modes join with this one.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from linnet.files.npz import open_npz

KEYS = ("samples", "arr_0", "images", "train_images")
CLASSES = "arr_1"
BATCH_NAME = re.compile(r"samples_\d+\.npz")


def find_archives(path: str | os.PathLike) -> list[Path]:
    """The .npz files of samples at `path`; [] where there are none."""
    path = Path(path)
    if path.is_file():
        return [path] if path.suffix == ".npz" else []
    archives = sorted(path.glob("samples_*.npz"))
    return [archive for archive in archives if BATCH_NAME.fullmatch(archive.name)] or archives


def iterate_images(path: str | os.PathLike, batch_size: int = 256) -> Iterator[np.ndarray]:
    """Yields uint8 (B, H, W, C) batches, B <= batch_size, C = 1, 3 or 4.

    Raises FileNotFoundError where there are no archives, ValueError naming the file that is damaged, not uint8 NHWC, or
    of another size than the first.
    """
    archives = find_archives(path)
    if not archives:
        raise FileNotFoundError(f"no samples at {path}: expected an .npz file or a folder of samples_*.npz")
    shape = None
    for archive in archives:
        images, _ = read_archive(archive)
        shape = shape or images.shape[1:]
        if images.shape[1:] != shape:
            raise ValueError(f"{archive}: images are {images.shape[1:]}, earlier ones {shape}; use one size")
        for start in range(0, len(images), batch_size):
            yield images[start : start + batch_size]


def read_archive(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(uint8 images (N, H, W, C), classes (N,) or None) of one .npz. ValueError naming a file that has none."""
    with open_npz(path) as arrays:
        key = next((key for key in KEYS if key in arrays), None)
        if key is None:
            raise ValueError(f"{path}: no array named {' or '.join(KEYS)}, only {', '.join(arrays)}")
        images, classes = arrays[key], arrays.get(CLASSES)
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"{path}: {key} is {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 1, 3 or 4)"
        )
    return images, classes
