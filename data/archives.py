"""Data sets as they are published: the files they consist of, where these lie, and their images as a source.

The files are looked for in data.path, packed or unpacked, in the folder itself or where other libraries put them below
it; without a path in the user's cache, and `missing` lists what is not there, for those who can fetch it. Data that
TensorFlow Datasets has prepared are read where no file is found.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from linnet import registry
from linnet.data import tfds
from linnet.data.image_rule import IMAGES, ImageRule, rule_for
from linnet.data.source import ArraySource, Source
from linnet.data.splits import pick


class Archive(NamedTuple):
    """A published file: `name` in the web folder `folder`, sha256 in hex; unpacked: its names without the packing."""

    name: str
    folder: str
    sha256: str
    unpacked: tuple[str, ...] = ()


class Layout(NamedTuple):
    """files of each split; read(paths, split) -> images uint8 (N, H, W, C) or (N, H, W), labels (N,)."""

    files: dict[str, tuple[Archive, ...]]
    read: Callable[[list[Path], str], tuple[np.ndarray, np.ndarray]]


class PublishedSet(NamedTuple):
    """A data set: its layouts, the preferred one first; names of the classes; folders of other libraries."""

    name: str
    layouts: tuple[Layout, ...]
    classes: tuple[str, ...]
    folders: tuple[str, ...] = ()


@registry.takes("path", *IMAGES)
def published_source(published: PublishedSet, settings: ConfigDict, split: str) -> Source:
    """From the files of the authors of the data set.

    NoSplit; ValueError for damaged files, those of TFDS for none at all.
    """
    chosen = pick(published.layouts[0].files, split, f"data.dataset={published.name}")
    found = next(filter(None, (find(published, layout, settings, chosen) for layout in published.layouts)), None)
    if found is None and settings.get("path", "") and not tfds.is_prepared(settings):
        names = " and ".join(archive.name for archive in published.layouts[0].files[chosen])
        raise FileNotFoundError(
            f"data.path={settings.path!r} does not hold {names} of {published.name}: place them there, or leave "
            "data.path empty to have them downloaded; images of your own are data.dataset=folder"
        )
    if found is None:
        return tfds.tfds_source(settings, split)
    layout, paths = found
    try:
        images, labels = layout.read(paths, chosen)
    except Exception as error:  # each library has its own types for damaged files
        listed = ", ".join(map(str, paths))
        raise ValueError(f"{listed}: not as {published.name} is published, or damaged: {error}") from error
    rule = rule_for(settings, Image.fromarray(images[0]))
    notes = tuple(note for pair in zip(layout.files[chosen], paths, strict=True) if (note := other_content(*pair)))
    return ArraySource(
        published.name, split, prepared(images, rule), labels, len(published.classes), published.classes, notes
    )


def find(published: PublishedSet, layout: Layout, settings: ConfigDict, split: str) -> tuple[Layout, list[Path]] | None:
    """The layout with the path of each file of a split; None where one is absent.

    data.path may be the file itself, and a file may lie in a folder of its own name, as Kaggle has MNIST.
    """
    root = folder_of(published, settings)
    paths = []
    for archive in layout.files[split]:
        names = [archive.name, *archive.unpacked]
        places = [root.parent] * (root.name in names) + [root, *(root / folder for folder in published.folders)]
        named = [place / name for name in names for place in places]
        present = [file for path in named for file in (path / path.name, path) if file.exists()]
        if not present:
            return None
        paths.append(present[0])
    return layout, paths


def folder_of(published: PublishedSet, settings: ConfigDict) -> Path:
    """data.path, or the folder of the data set in the user's cache."""
    if settings.get("path", ""):
        return Path(settings.path).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "linnet" / "data" / published.name


def missing(published: PublishedSet, settings: ConfigDict, split: str) -> list[tuple[Archive, Path]]:
    """(file, where it belongs) for what must be fetched before a split can be read; none for a data.path."""
    chosen = pick(published.layouts[0].files, split, f"data.dataset={published.name}")
    here = tfds.is_prepared(settings) or any(find(published, layout, settings, chosen) for layout in published.layouts)
    if here or settings.get("path", ""):
        return []
    folder = folder_of(published, settings)
    wanted = ((archive, folder / archive.name) for archive in published.layouts[0].files[chosen])
    return [(archive, path) for archive, path in wanted if not path.exists()]


def other_content(archive: Archive, path: Path) -> str:
    """A line for people where `path` is an archive that is not the published one; "" where it is, or is unpacked."""
    if path.name != archive.name:
        return ""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest == archive.sha256 else f"{path} is not the published file: its SHA-256 is {digest[:16]}..."


def prepared(images: np.ndarray, rule: ImageRule) -> np.ndarray:
    """The images by the rule, (N, H, W, C); as they are where they have the size and channels of the rule."""
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[1:] == rule.shape and not rule.crop:
        return images
    return np.stack([rule(tfds.as_picture(image)) for image in images])
