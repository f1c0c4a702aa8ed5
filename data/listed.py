"""Data sets that are published as trees of pictures with lists of what belongs to what, unpacked or as a .zip.

Each has its layouts in a file of its own; reading, the rule and the fingerprint are those of folders.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from linnet import registry
from linnet.data import tfds
from linnet.data.files import Files, open_files
from linnet.data.folder import FolderSource, open_image
from linnet.data.image_rule import IMAGES, rule_for
from linnet.data.labels import Labelled, numbered
from linnet.data.source import Source, decode_threads
from linnet.data.splits import pick


class Tree(NamedTuple):
    """The files below the folder `top` ("" or a path that ends in "/") of `files`."""

    files: Files
    top: str

    def images(self, folder: str) -> list[str]:
        """Names, below `top`, of the images in a folder."""
        start = self.top + folder + "/"
        return [name.removeprefix(self.top) for name in self.files.images if name.startswith(start)]

    def lines(self, name: str) -> list[str]:
        """The lines of a text, without empty ones; [] where it is not there."""
        if not self.files.has(self.top + name):
            return []
        text = self.files.read(self.top + name).decode("utf-8")
        return [line for line in text.splitlines() if line.strip()]


Classes = Mapping[str, str]
"""Image, by its name below the top of a tree -> its class."""


class ListedSet(NamedTuple):
    """A data set: read(tree) -> the Classes of each split; the folders that may lie around it; its name in TFDS or "".

    home: the page that it is fetched from; looks: its layout, in words; classes(tree) -> their names in order, () for
    those of the training images, sorted.
    """

    name: str
    read: Callable[[Tree], dict[str, Classes]]
    tops: tuple[str, ...]
    home: str
    looks: str
    tfds: str = ""
    classes: Callable[[Tree], tuple[str, ...]] = lambda tree: ()


@registry.takes("path", *IMAGES)
def listed_source(published: ListedSet, settings: ConfigDict, split: str) -> Source:
    """From the pictures at data.path, else from TFDS.

    NoSplit; FileNotFoundError without the pictures; ValueError for lists that name others than there are.
    """
    tree, splits = find(published, Path(settings.path).expanduser()) if settings.get("path", "") else (None, {})
    if tree is None:
        return from_tfds(published, settings, split)
    chosen = pick(splits, split, f"{published.name} in data.path={settings.path!r}")
    classes = published.classes(tree) or numbered(splits.get("train", splits[chosen]).values())
    labelled = label(tree, splits[chosen], classes)._replace(notes=left_out(tree, splits))
    first = labelled.images[0]
    with open_image(tree.files, first) as image:
        rule = rule_for(settings, image)
    threads = decode_threads(len(tree.files.read(first)))
    return FolderSource(tree.files, labelled, rule, split, threads, published.name)


def from_tfds(published: ListedSet, settings: ConfigDict, split: str) -> Source:
    """As TFDS has it, without a path or where it is the folder of TFDS. FileNotFoundError where that is no way."""
    named = ConfigDict({**settings, "dataset": published.tfds})
    if published.tfds and (not settings.get("path", "") or tfds.is_prepared(named)):
        return tfds.tfds_source(named, split)
    raise FileNotFoundError(
        f"data.path={settings.get('path', '')!r} does not hold {published.name}: a folder or zip with "
        f"{published.looks} from {published.home}; images of your own are data.dataset=folder"
    )


def find(published: ListedSet, path: Path) -> tuple[Tree | None, dict[str, Classes]]:
    """The tree with the splits that it has; None and {} where there are none."""
    files = open_files(path)
    for top in ("", *published.tops):
        tree = Tree(files, top)
        splits = {split: classes for split, classes in published.read(tree).items() if classes}
        if splits:
            return tree, splits
    return None, {}


def left_out(tree: Tree, splits: dict[str, Classes]) -> tuple[str, ...]:
    """A line about the images whose class nothing says; none where there are none."""
    used = {tree.top + name for classes in splits.values() for name in classes}
    rest = [name for name in tree.files.images if name not in used]
    return (f"{len(rest)} images without a class are left out, such as {rest[0]}",) if rest else ()


def label(tree: Tree, images: Classes, classes: tuple[str, ...]) -> Labelled:
    """The images in the order of their names, with the numbers of their classes. ValueError for a class unheard of."""
    number = {name: i for i, name in enumerate(classes)}
    names = sorted(images)
    unknown = next((name for name in names if images[name] not in number), None)
    if unknown is not None:
        raise ValueError(f"{tree.files.path}: {unknown!r} is of class {images[unknown]!r}, of which there is no other")
    labels = np.array([number[images[name]] for name in names], np.int32)
    return Labelled([tree.top + name for name in names], labels, classes)


def by_folder(tree: Tree, folder: str) -> Classes:
    """The images of a folder whose class is the first folder below it."""
    depth = len(PurePosixPath(folder).parts)
    parts = {name: PurePosixPath(name).parts for name in tree.images(folder)}
    return {name: of[depth] for name, of in parts.items() if len(of) > depth + 1}


def by_list(tree: Tree, folder: str, entries: Iterable[tuple[str, str]]) -> Classes:
    """(image, class) of a list, of images in a folder. ValueError where some, though not all, are not there."""
    listed = {f"{folder}/{name.lstrip('/')}": found for name, found in entries}
    there = set(tree.images(folder))
    missing = [name for name in listed if name not in there]
    if missing and there:
        raise ValueError(f"{tree.files.path}: {missing[0]!r} is listed and not there ({len(missing)} of {len(listed)})")
    return listed if there else {}
