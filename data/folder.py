"""Images below a directory or in a zip: jpg, jpeg, png and webp, recursively, in the order of their names.

Which images are "train" and which are "test":
1. if the path holds the folders train/ and test/ (at its top), those;
2. otherwise all images below the path are "train", and "test" is the sibling of that path whose name has
   "test" where this one has "train" (mnist-train.zip and mnist-test.zip, data/train and data/test);
3. otherwise there is no test split and asking for one is an error.
Nothing is held out silently. Sizes and channels: data/image_rule.py; labels: data/labels.py.
"""

import io
import posixpath
from pathlib import Path

import numpy as np
from PIL import Image

from linnet.data.files import DirectoryFiles, ZipFiles, open_files
from linnet.data.image_rule import ImageRule, rule_for
from linnet.data.labels import from_listing, from_paths
from linnet.data.source import Source, decode_threads

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")


class FolderSource(Source):
    """Images read from `files` under `names` and prepared by `rule`; a ValueError names an image that is corrupt."""

    def __init__(
        self,
        files: DirectoryFiles | ZipFiles,
        names: list[str],
        labels: np.ndarray,
        num_classes: int,
        rule: ImageRule,
        split: str,
        threads: int,
    ):
        super().__init__(files.path.stem, split, len(names), rule.shape, num_classes, decode_threads=threads)
        self._files, self._names, self._labels, self._rule = files, names, labels, rule

    def read(self, index: int) -> tuple[np.ndarray, int]:
        with open_image(self._files, self._names[index]) as image:
            return self._rule(image), self._labels[index]


def folder_source(data, split: str) -> FolderSource:
    """The images at `data.path`. Errors: no path, nothing there, no images, no test split, a corrupt first image."""
    if not data.get("path", ""):
        raise ValueError("data.dataset=folder needs data.path: a directory of images or a .zip")
    files, root, names = find_images(Path(data.path).expanduser(), split)
    labels, num_classes = find_labels(files, root, names)
    with open_image(files, names[0]) as first:
        rule = rule_for(data, first)
    return FolderSource(files, names, labels, num_classes, rule, split, decode_threads(len(files.read(names[0]))))


def find_images(path: Path, split: str) -> tuple[DirectoryFiles | ZipFiles, str, list[str]]:
    """(files, root, names): the images of `split`, and the folder they have in common ("" or ending in "/")."""
    files, names = list_images(path)
    root = common_folder(names)
    tops = {name[len(root) :].split("/")[0] for name in names if "/" in name[len(root) :]}
    if {"train", "test"} <= tops:
        names = [name for name in names if name.startswith(f"{root}{split}/")]
    elif split == "test":
        files, names = list_images(test_sibling(path))
    return files, common_folder(names), names


def list_images(path: Path) -> tuple[DirectoryFiles | ZipFiles, list[str]]:
    files = open_files(path)
    names = [name for name in files.names if name.lower().endswith(EXTENSIONS)]
    if not names:
        looked = ", ".join(EXTENSIONS)
        raise ValueError(f"data.path={str(path)!r} has no images: looked for {looked} in all sub-folders")
    return files, names


def test_sibling(path: Path) -> Path:
    """`path` with the last "train" of its name turned into "test"."""
    head, train, tail = path.name.rpartition("train")
    sibling = path.with_name(f"{head}test{tail}")
    if not train or not sibling.exists():
        wanted = f"{str(sibling)!r}, or" if train else "a path whose name has 'train' beside one with 'test', or"
        raise ValueError(f"data.path={str(path)!r} has no test images: provide {wanted} sub-folders train/ and test/")
    return sibling


def common_folder(names: list[str]) -> str:
    """The deepest folder that holds all `names`: "" or a path that ends in "/"."""
    common = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return common + "/" if common else ""


def find_labels(files: DirectoryFiles | ZipFiles, root: str, names: list[str]) -> tuple[np.ndarray, int]:
    """Labels (N,) and number of classes by the rules of data/labels.py; the nearest dataset.json at or above root."""
    parts = root.split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        above = "".join(part + "/" for part in parts[:depth])
        if above + "dataset.json" in files.names:
            listed = [name.removeprefix(above) for name in names]
            return from_listing(listed, files.read(above + "dataset.json"), str(files.path))
    return from_paths([name.removeprefix(root) for name in names])


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
