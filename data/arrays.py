"""Images and labels that are arrays of one .npz.

    of every split   train_images, val_images and test_images with train_labels ... (MedMNIST); x_train with y_train ...
    of one           images, arr_0 (ADM) or samples, with labels or arr_1; other splits are sought as for folders

Images are uint8 (N, H, W) or (N, H, W, 1, 3 or 4); labels, where there are any, whole numbers from 0, (N,) or (N, 1).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from linnet.data.archives import prepared
from linnet.data.image_rule import rule_for
from linnet.data.labels import MOST_CLASSES
from linnet.data.source import ArraySource
from linnet.data.splits import WORDS, NoSplit, pick, sibling
from linnet.data.tfds import as_picture
from linnet.files.npz import open_npz

OF_SPLITS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
IMAGES, LABELS = ("images", "arr_0", "samples"), ("labels", "arr_1")


class Place(NamedTuple):
    """Where the images of a split and their labels lie: the file, and the names of the arrays in it."""

    path: Path
    images: str
    labels: str


def arrays_source(settings: ConfigDict, split: str) -> ArraySource:
    """The images of the .npz at `data.path`. NoSplit; ValueError for arrays that are not as this file says."""
    path = Path(settings.path).expanduser()
    images, labels = read_arrays(path, split)
    if labels is None:
        return as_source(path.stem, split, images, np.zeros(len(images), int), (), settings)
    numbers = whole_numbers(labels, path)
    names = tuple(map(str, range(max(numbers.max(), highest_in_training(path)) + 1)))
    return as_source(path.stem, split, images, numbers, names, settings)


def highest_in_training(path: Path) -> int:
    """The highest label of the training images; -1 where there are none, or no labels."""
    try:
        place = locate(path, "train")
    except NoSplit:
        return -1
    with open_npz(place.path) as arrays:
        return int(whole_numbers(arrays[place.labels], path).max()) if place.labels in arrays else -1


def as_source(
    name: str, split: str, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], settings: ConfigDict
) -> ArraySource:
    """The images (N, H, W, C) by the rule of `data`."""
    rule = rule_for(settings, as_picture(images[0]))
    return ArraySource(name, split, prepared(images, rule), labels, len(classes), classes)


def read_arrays(path: Path, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Images uint8 (N, H, W, C) of a split, and labels (N,) or (N, K) as they are stored, or None.

    NoSplit; OSError; ValueError for a file without images, or with other arrays than this file says.
    """
    place = locate(path, split)
    with open_npz(place.path) as arrays:
        return checked(place, arrays)


def locate(path: Path, split: str) -> Place:
    """Where a split lies: in the file at `path`, or in the one beside it. NoSplit; OSError; ValueError."""
    with open_npz(path) as arrays:
        found = {word: pair for word in WORDS if (pair := of_split(arrays, word))}
        own = first(arrays, IMAGES), first(arrays, LABELS)
    if found:
        return Place(path, *found[pick(found, split, f"data.path={str(path)!r}")])
    return Place(path, *own) if split == "train" else locate(sibling(path, split), "train")


def of_split(arrays: Mapping, split: str) -> tuple[str, str] | None:
    """Names of the images and labels of a split in an .npz that has several; None where it has none."""
    pairs = ((images.format(split), labels.format(split)) for images, labels in OF_SPLITS)
    return next((pair for pair in pairs if pair[0] in arrays), None)


def first(arrays: Mapping, names: tuple[str, ...]) -> str:
    """The first of the names that is there, else the first of all."""
    return next((name for name in names if name in arrays), names[0])


def checked(place: Place, arrays: Mapping) -> tuple[np.ndarray, np.ndarray | None]:
    """The arrays of a place. ValueError where they are not as this file says."""
    path, images, labels = place
    if images not in arrays:
        looked = ", ".join([*IMAGES, *(name.format("train") for name, _ in OF_SPLITS)])
        raise ValueError(f"{path} holds no images: looked for an array {looked}; it has {', '.join(arrays) or 'none'}")
    found, numbers = arrays[images], arrays.get(labels)
    found = found[..., None] if found.ndim == 3 else found
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[-1] not in (1, 3, 4) or not len(found):
        raise ValueError(
            f"{path}: {images} is {found.dtype} {found.shape}; expected uint8 (N, H, W) or (N, H, W, 1, 3 or 4)"
        )
    if numbers is not None and numbers.shape[:1] != found.shape[:1]:
        raise ValueError(f"{path}: {len(found)} {images}, and {labels} of shape {numbers.shape}; give a label to each")
    return found, numbers


def whole_numbers(labels: np.ndarray, path: Path) -> np.ndarray:
    """Labels (N,) int, from (N,) or (N, 1). ValueError for other labels."""
    one_each = labels.size == len(labels) and np.issubdtype(labels.dtype, np.number)
    flat = labels.reshape(-1)
    if not one_each or (flat != np.rint(flat)).any() or flat.min() < 0 or flat.max() >= MOST_CLASSES:
        raise ValueError(
            f"{path}: labels are {labels.dtype} {labels.shape}; expected a whole number from 0 to {MOST_CLASSES - 1} "
            "for each image"
        )
    return flat.astype(int)
