"""Images below a directory or in a zip: jpg, jpeg, png and webp, recursively, in the order of their names.

Splits: data/splits.py; sizes and channels: data/image_rule.py; labels: data/labels.py.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from linnet.data.files import DirectoryFiles, ZipFiles
from linnet.data.image_rule import ImageRule, rule_for
from linnet.data.labels import Labelled, label
from linnet.data.source import Source, decode_threads
from linnet.data.splits import find_images


class FolderSource(Source):
    """The images of `labelled`, read from `files` and prepared by `rule`; a ValueError names one that is corrupt."""

    def __init__(self, files: DirectoryFiles | ZipFiles, labelled: Labelled, rule: ImageRule, split: str, threads: int):
        names, self._labels, classes, notes = labelled
        super().__init__(
            files.path.stem,
            split,
            len(names),
            rule.shape,
            len(classes),
            decode_threads=threads,
            class_names=classes,
            notes=notes,
        )
        self._files, self._names, self._rule = files, names, rule

    def read(self, index: int) -> tuple[np.ndarray, int]:
        with open_image(self._files, self._names[index]) as image:
            return self._rule(image), self._labels[index]

    def content(self) -> Iterator[bytes]:
        yield repr(self._rule).encode()
        with ThreadPoolExecutor() as threads:
            for name, checksum in zip(self._names, threads.map(self._files.checksum, self._names), strict=True):
                yield f"{name} {checksum}\n".encode()


def folder_source(data, split: str) -> FolderSource:
    """The images at `data.path`. Errors: no path, nothing there, no images, NoSplit, a corrupt first image."""
    if not data.get("path", ""):
        raise ValueError("data.dataset=folder needs data.path: a directory of images or a .zip")
    path = Path(data.path).expanduser()
    images = find_images(path, split)
    labelled = label(images, images if split == "train" else find_images(path, "train"))
    first = labelled.images[0]
    with open_image(images.files, first) as image:
        rule = rule_for(data, image)
    return FolderSource(images.files, labelled, rule, split, decode_threads(len(images.files.read(first))))


def open_image(files: DirectoryFiles | ZipFiles, name: str) -> Image.Image:
    """The decoded image; whatever stops Pillow or the zip from reading it becomes a ValueError with its name."""
    try:
        image = Image.open(io.BytesIO(files.read(name)))
        image.load()
    except Exception as error:
        raise ValueError(
            f"cannot decode image {name!r} in {str(files.path)!r}: {error}; replace or remove it"
        ) from error
    return image
