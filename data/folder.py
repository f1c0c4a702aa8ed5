"""Images below a directory or in a zip, of every format in data/files.py, recursively, in the order of their names.

An .npz in their place holds them as arrays (data/arrays.py).

Splits: data/splits.py; sizes, channels and levels: data/image_rule.py, data/survey.py; labels: data/labels.py.
"""

import contextlib
import functools
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from PIL import Image, UnidentifiedImageError

from linnet import registry
from linnet.data.arrays import arrays_source
from linnet.data.files import Files
from linnet.data.image_rule import IMAGES, ImageRule, rule_for
from linnet.data.labels import Labelled, label
from linnet.data.source import Source, decode_threads
from linnet.data.splits import find_images
from linnet.data.survey import survey


class FolderSource(Source):
    """The images of `labelled`, read from `files` and prepared by `rule`; a ValueError names one that is corrupt."""

    def __init__(self, files: Files, labelled: Labelled, rule: ImageRule, split: str, threads: int, name: str = ""):
        names, self._labels, classes, notes = labelled
        super().__init__(
            name or files.path.stem,
            split,
            len(names),
            rule.shape,
            len(classes),
            decode_threads=threads,
            class_names=classes,
            notes=notes,
        )
        self._files = files
        self._names = names
        self._rule = rule

    @property
    def names(self) -> list[str]:
        """The name of each file, without its folder and ending."""
        return [Path(name).stem for name in self._names]

    def read(self, index: int) -> tuple[np.ndarray, int]:
        with open_image(self._files, self._names[index]) as image:
            return self._rule(image), self._labels[index]

    def content(self) -> Iterator[bytes]:
        yield repr(self._rule).encode()
        with ThreadPoolExecutor() as threads:
            for name, checksum in zip(self._names, threads.map(self._files.checksum, self._names), strict=True):
                yield os.fsencode(f"{name} {checksum}\n")


@registry.takes("path", *IMAGES)
def folder_source(settings: ConfigDict, split: str) -> Source:
    """The images at `data.path`. Errors: no path, nothing there, no images, NoSplit, a corrupt first image."""
    if not settings.get("path", ""):
        raise ValueError("data.dataset=folder needs data.path: a directory of images, a .zip or an .npz")
    path = Path(settings.path).expanduser()
    if path.suffix == ".npz":
        return arrays_source(settings, split)
    images = find_images(path, split)
    training = images if split == "train" else find_images(path, "train")
    labelled = label(images, training)
    found = survey(functools.partial(open_image, training.files), training.names)
    first = (labelled if split == "train" else label(training, training)).images[0]
    with open_image(training.files, first) as image:
        rule = rule_for(settings, image, found.white)
    notes = (*filter(None, [images.files.skipped]), *labelled.notes, *found.notes(rule))
    threads = decode_threads(len(training.files.read(first)))
    return FolderSource(images.files, labelled._replace(notes=notes), rule, split, threads)


@contextlib.contextmanager
def open_image(files: Files, name: str) -> Iterator[Image.Image]:
    """The opened image; whatever stops Pillow from reading it, or the rule from preparing it, is a ValueError."""
    content = files.read(name)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.filename = name
            yield image
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is cut short or no image at all" if unknown else str(error) or type(error).__name__
        raise ValueError(
            f"cannot decode image {name!r} in {str(files.path)!r}: {reason}; replace or remove it"
        ) from error
