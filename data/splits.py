"""Which images are for training, validation and test: "train", "val" and "test", by the usual names of folders.

1. Where the top of a path holds folders of two of the splits or more (train/ and val/, Training/ and Testing/), each
   split is its folder, and what lies beside these folders is left out.
2. Otherwise all images below the path are "train"; "val" and "test" are the sibling of that path whose name says so
   where this one says "train" (mnist-train.zip and mnist-test.zip, data/train and data/val).
3. Validation images stand in for a test split that is not there.

Nothing is held out silently: asking for another split is an error, NoSplit.
"""

import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from linnet.data.files import Files, list_images

WORDS = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation", "valset", "dev"),
    "test": ("test", "testing", "testset"),
}
"""Split -> names of its folder, in any case."""

STAND_INS = {"train": ("train",), "val": ("val",), "test": ("test", "val")}


class NoSplit(ValueError):
    """The data set has no such split; the message says which it has, or where it was looked for."""


class Images(NamedTuple):
    """The images of a split: `names` in `files`, all below the folder `top` ("" or a path that ends in "/").

    notes: lines about what was left out, for people.
    """

    files: Files
    top: str
    names: list[str]
    notes: tuple[str, ...] = ()


def find_images(path: Path, split: str) -> Images:
    """The images of `split` at `path`. NoSplit; ValueError for a path without images."""
    files, names = list_images(path)
    root = common_folder(names)
    folders = sorted({name[len(root) :].split("/")[0] for name in names if "/" in name[len(root) :]})
    if sum(match(folders, kind) is not None for kind in WORDS) > 1:
        top = f"{root}{pick(folders, split, f'data.path={str(path)!r}')}/"
        return Images(files, top, [name for name in names if name.startswith(top)], beside(names, root, folders))
    if split != "train":
        files, names = list_images(sibling(path, split))
    return Images(files, "", names)


def match(available: Iterable[str], split: str) -> str | None:
    """The first of `available` that is one of the split's WORDS, in their order; None where there is none."""
    by_word = {name.lower(): name for name in available}
    return next((by_word[word] for word in WORDS[split] if word in by_word), None)


def pick(available: Iterable[str], split: str, what: str) -> str:
    """The one of `available` that is `split`, or stands in for it. NoSplit; what: the data set, for the message."""
    available = list(available)
    found = next(filter(None, (match(available, word) for word in STAND_INS[split])), None)
    if found is None:
        raise NoSplit(f"{what} has no {split} images; it has {', '.join(available)}")
    return found


def beside(names: list[str], root: str, folders: list[str]) -> tuple[str, ...]:
    """A line about the images that belong to no split; none where all do."""
    used = tuple(f"{root}{found}/" for found in (match(folders, split) for split in WORDS) if found)
    rest = [name for name in names if not name.startswith(used)]
    if not rest:
        return ()
    return (f"{len(rest)} images beside the folders {', '.join(used)} are left out, such as {rest[0]}",)


def sibling(path: Path, split: str) -> Path:
    """The path beside `path` whose name has a word of `split` where this one has "training" or "train". NoSplit."""
    name, wanted = path.name.lower(), []
    for train in ("training", "train"):
        head, found, tail = name.rpartition(train)
        wanted += [head + word + tail for kind in STAND_INS[split] for word in WORDS[kind] if found]
    present = {other.name.lower(): other for other in sorted(path.parent.iterdir(), reverse=True)}
    for candidate in wanted:
        if candidate in present:
            return present[candidate]
    nameless = f"a path whose name has 'train' beside one with {split!r}"
    expected = repr(str(path.with_name(wanted[0]))) if wanted else nameless
    raise NoSplit(
        f"data.path={str(path)!r} has no {split} images: provide {expected}, or sub-folders train/ and {split}/"
    )


def common_folder(names: list[str]) -> str:
    """The deepest folder that holds all `names`: "" or a path that ends in "/"."""
    common = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return common + "/" if common else ""
