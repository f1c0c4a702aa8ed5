"""Class labels of a folder of images, by the first rule that applies to its training images.

1. `dataset.json` in the folder that holds all images or above it: {"labels": [[file, class], ...]} or
   {"labels": {file: class}} with whole numbers as classes (the layout of EDM's dataset tool); "labels": null means
   unlabelled; an optional "classes" lists the names of the classes, or is their number.
2. There are at least two sub-folders in the folder that holds all images, the root: the class is the first
   sub-folder. Images beside these folders are left out, with a note, if they are fewer than a class has on average.
3. Every file name has an underscore and there are at least two prefixes: the class is the part before the
   first underscore (`cat_0001.png`, the convention of improved-diffusion). This rule goes before rule 2 where the
   sub-folders are parts: their names, unlike the prefixes, differ in digits alone (part1/cat_1.png, part2/cat_2.png).
4. Otherwise the images are unlabelled: label 0, no classes.

By rules 2 and 3 classes are numbered in sorted order, by value where all of them are whole numbers. Images of another
split follow the rule and the numbers of the training images; classes that are not among these have later numbers.
"""

import json
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from linnet.data.splits import Images, common_folder

MOST_CLASSES = 10**6
"""A larger number in a listing is no class: each has a name and an output of the network."""

Rule = Callable[[str], str | None]
"""Path below the root -> class; None for an image without one."""


class Labelled(NamedTuple):
    """Names of images and their labels (N,) int32; `classes`: names by number, () without; notes: lines for people."""

    images: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def label(images: Images, training: Images) -> Labelled:
    """The images of a split with labels that mean what they mean in the training images."""
    listed, trained = from_listing(images), from_listing(training)
    if listed is not None:
        return listed._replace(classes=max(trained.classes, listed.classes, key=len)) if trained else listed
    unlabelled = Labelled(images.names, np.zeros(len(images.names), np.int32), (), images.notes)
    if trained:
        return unlabelled
    root = common_folder(training.names)
    rule = find_rule([name.removeprefix(root) for name in training.names])
    if rule is None:
        return unlabelled
    known = numbered(classes_of(training, root, rule))
    classes = classes_of(images, images.top + root.removeprefix(training.top), rule)
    kept = [i for i, name in enumerate(classes) if name is not None]
    if not kept:
        return unlabelled
    number = {name: i for i, name in enumerate(known)}
    for name in numbered(classes):
        number.setdefault(name, len(number))
    labels = np.array([number[name] for name in classes if name is not None], np.int32)
    strays = len(classes) - len(kept)
    notes = (f"{strays} of {len(classes)} images lie beside the class folders and are left out",) * bool(strays)
    return Labelled([images.names[i] for i in kept], labels, tuple(number), images.notes + notes)


def classes_of(images: Images, root: str, rule: Rule) -> list[str | None]:
    """The class of each image."""
    return [rule(name.removeprefix(root)) for name in images.names]


def find_rule(images: list[str]) -> Rule | None:
    """Rule 2 or 3 for training images, by their names below the root; None for unlabelled ones."""
    folders, prefixes = (numbered(map(rule, images)) for rule in (by_folder, by_prefix))
    prefixed = len(prefixes) > 1 and all(map(by_prefix, images))
    if prefixed and (len(folders) < 2 or (counts(folders) and not counts(prefixes))):
        return by_prefix
    strays = sum(by_folder(name) is None for name in images)
    return by_folder if len(folders) > 1 and strays * len(folders) < len(images) - strays else None


def by_folder(name: str) -> str | None:
    """The first folder."""
    folder, slash, _ = name.partition("/")
    return folder if slash else None


def by_prefix(name: str) -> str | None:
    """What the file name has before the first underscore."""
    prefix, underscore, _ = posixpath.basename(name).partition("_")
    return prefix if underscore else None


def counts(names: Iterable[str]) -> bool:
    """Whether the names differ in digits alone."""
    return len({re.sub(r"\d+", "0", name) for name in names}) == 1


def numbered(classes: Iterable[str | None]) -> tuple[str, ...]:
    """The distinct class names in the order of their numbers."""
    distinct = sorted({name for name in classes if name is not None})
    if all(name.isdecimal() for name in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def from_listing(images: Images) -> Labelled | None:
    """Labels by the nearest dataset.json at or above the images' common folder; None without one. ValueError."""
    files, parts = images.files, common_folder(images.names).split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        above = "".join(part + "/" for part in parts[:depth])
        if above + "dataset.json" in files.names:
            listed = [name.removeprefix(above) for name in images.names]
            labels, classes = read_listing(listed, files.read(above + "dataset.json"), str(files.path))
            return Labelled(images.names, labels, classes, images.notes)
    return None


def read_listing(images: list[str], listing: bytes, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(labels (N,), class names) by dataset.json; ValueError where it is not as rule 1 says or lacks an image.

    images: names relative to the folder of dataset.json; listing: its text; where: the path, for errors.
    """
    problem = f'{where}: dataset.json must hold {{"labels": [[file, class], ...]}} with whole numbers as classes'
    try:
        content = json.loads(listing)
        entries = content["labels"]
        if entries is None:
            return np.zeros(len(images), np.int32), ()
        pairs = entries.items() if isinstance(entries, dict) else entries
        pairs = {(normal(file.replace("\\", "/")), whole(found)) for file, found in pairs}
        by_name = dict(pairs)
        if len(by_name) < len(pairs):
            raise ValueError("a file has two classes")
        names = content.get("classes") or ()
        names = tuple(map(str, range(whole(names)) if np.isscalar(names) else names))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{problem} ({type(error).__name__}: {error})") from error
    missing = [name for name in images if normal(name) not in by_name]
    if missing:
        raise ValueError(f"{where}: dataset.json has no label for {missing[0]!r} ({len(missing)} images lack one)")
    found = [by_name[normal(name)] for name in images]
    if min(found) < 0 or max(found) >= MOST_CLASSES:
        raise ValueError(f"{problem}, from 0 to {MOST_CLASSES - 1}; found {min(found)} to {max(found)}")
    return np.array(found, np.int32), names + tuple(map(str, range(len(names), max(found) + 1)))


def normal(name: str) -> str:
    """The one way to write a path that may be written "./a" and, on a Mac, with accents as characters of their own."""
    return unicodedata.normalize("NFC", posixpath.normpath(name))


def whole(number: Any) -> int:
    """`number` as int. ValueError for 1.7 and true."""
    if isinstance(number, bool) or not float(number).is_integer():
        raise ValueError(f"{number!r} is no whole number")
    return int(number)
