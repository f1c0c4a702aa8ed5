"""Class labels of a folder of images, by the first rule that applies.

1. `dataset.json` in the folder that holds all images or above it: {"labels": [[file, class], ...]} or
   {"labels": {file: class}} with integer classes (the layout of EDM's dataset tool); "labels": null means
   unlabelled; an optional "classes" lists class names.
2. Every image lies in a sub-folder of the folder that holds all of them, the root, and there are at least
   two: the class is the first sub-folder.
3. Every file name has an underscore and there are at least two prefixes: the class is the part before the
   first underscore (`cat_0001.png`, the convention of improved-diffusion).
4. Otherwise the images are unlabelled: label 0, num_classes 0.

By rules 2 and 3 classes are numbered in sorted order, by value where all of them are whole numbers.
"""

import json
import posixpath

import numpy as np


def from_paths(images: list[str]) -> tuple[np.ndarray, int]:
    """Rules 2 to 4 for names relative to the root -> labels (N,) int32 and the number of classes."""
    if all("/" in name for name in images):
        return from_names([name.split("/")[0] for name in images])
    files = [posixpath.basename(name) for name in images]
    if all("_" in name for name in files):
        return from_names([name.split("_")[0] for name in files])
    return np.zeros(len(images), np.int32), 0


def from_names(classes: list[str]) -> tuple[np.ndarray, int]:
    """Number the class names; a single class is no class."""
    distinct = sorted(set(classes))
    if all(name.isdecimal() for name in distinct):
        distinct.sort(key=int)
    number = {name: i for i, name in enumerate(distinct)}
    labels = np.array([number[name] for name in classes], np.int32)
    return labels, len(distinct) if len(distinct) > 1 else 0


def from_listing(images: list[str], listing: bytes, where: str) -> tuple[np.ndarray, int]:
    """Labels by dataset.json; ValueError for a file that is not as rule 1 says or lacks an image.

    images: names relative to the folder of dataset.json; listing: its text; where: the path, for errors.
    """
    problem = f'{where}: dataset.json must hold {{"labels": [[file, class], ...]}} with whole numbers as classes'
    try:
        content = json.loads(listing)
        entries = content["labels"]
        if entries is None:
            return np.zeros(len(images), np.int32), 0
        by_name = {file.replace("\\", "/"): int(label) for file, label in dict(entries).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{problem} ({type(error).__name__}: {error})") from error
    missing = [name for name in images if name not in by_name]
    if missing:
        raise ValueError(f"{where}: dataset.json has no label for {missing[0]!r} ({len(missing)} images lack one)")
    labels = np.array([by_name[name] for name in images], np.int32)
    if labels.min() < 0:
        raise ValueError(f"{problem}, counted from 0; found {labels.min()}")
    return labels, max(int(labels.max()) + 1, len(content.get("classes") or ()))
