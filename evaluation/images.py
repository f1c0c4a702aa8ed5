"""Sample and image folders as batches of uint8 images.

Understood: one .npz or a folder of samples_*.npz with the key `samples` (ours and score_sde's), `arr_0`
(ADM's) or `images`, and a folder tree of png, jpg, jpeg or webp files. A folder that has samples_*.npz is read from
those alone, so previews beside them do not count as samples; and from its batches samples_<k>.npz alone where it has
some, so that ADM's samples_<N>x<H>x<W>x<C>.npz, which holds the same images, does not count twice. Names are read in
sorted order.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from linnet.files.npz import open_npz

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
KEYS = ("samples", "arr_0", "images")
CLASSES = "arr_1"
BATCH_NAME = re.compile(r"samples_\d+\.npz")


def iterate_images(path: str | os.PathLike, batch_size: int = 256) -> Iterator[np.ndarray]:
    """Yields uint8 (B, H, W, C) batches, B <= batch_size, C = 1, 3 or 4.

    Raises FileNotFoundError for an absent path or a folder without images, ValueError naming the file that
    is damaged, not uint8 NHWC, or of another size than the first.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".npz":
        archives = [path]
    elif path.is_dir():
        archives = sorted(path.glob("samples_*.npz"))
        archives = [archive for archive in archives if BATCH_NAME.fullmatch(archive.name)] or archives
    else:
        raise FileNotFoundError(f"no images at {path}: expected a folder or an .npz file")
    parts = _from_archives(archives) if archives else _from_files(path, batch_size)
    shape = None
    for name, part in parts:
        shape = shape or part.shape[1:]
        if part.shape[1:] != shape:
            raise ValueError(f"{name}: images are {part.shape[1:]}, earlier ones {shape}; use one size")
        for start in range(0, len(part), batch_size):
            yield part[start : start + batch_size]


def read_archive(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(uint8 images (N, H, W, C), classes (N,) or None) of one .npz. ValueError naming a file that has none."""
    with open_npz(path) as arrays:
        key = next((key for key in KEYS if key in arrays), None)
        if key is None:
            raise ValueError(f"{path}: no array named {' or '.join(KEYS)}, only {', '.join(arrays)}")
        images, classes = arrays[key], arrays.get(CLASSES)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{path}: {key} is {images.dtype} {images.shape}; expected uint8 (N, H, W, 1, 3 or 4)")
    return images, classes


def _from_archives(paths: list[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    for path in paths:
        yield path, read_archive(path)[0]


def _from_files(folder: Path, batch_size: int) -> Iterator[tuple[Path, np.ndarray]]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"no images in {folder}: expected samples_*.npz or files ending in {', '.join(SUFFIXES)}"
        )
    for start in range(0, len(files), batch_size):
        chosen = files[start : start + batch_size]
        images = [_read_image(file) for file in chosen]
        for file, image in zip(chosen, images, strict=True):
            if image.shape != images[0].shape:
                raise ValueError(f"{file}: image is {image.shape}, others {images[0].shape}; use one size")
        yield chosen[0], np.stack(images)


def _read_image(file: Path) -> np.ndarray:
    """(H, W, C) uint8: grey as C = 1, RGB as 3, RGBA as 4, palettes and the rest as RGB."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            kept = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")
            array = np.asarray(kept)
    except OSError as error:
        raise ValueError(f"{file}: not a readable image ({error})") from error
    return array[..., None] if array.ndim == 2 else array
