"""Which images are for training, validation and test: "train", "val" and "test", by the usual names of folders.

1. Where the top of a path holds folders of two of the splits or more (train/ and val/, Training/ and Testing/,
   train2017/ and val2017/, training_set/ and test_set/), each split is its folder, and what lies beside these folders
   is left out. Names with more than the word (train_256, trainA, imagesTrain) are those of a layout where they agree
   in the rest of it. Short words (tr/ and te/, which are languages too) count where nothing else lies beside them.
2. Otherwise all images below the path are "train"; "val" and "test" are the sibling of that path whose name says so
   where this one says "train" (mnist-train.zip and mnist-test.zip, data/train and data/val).
3. Validation images stand in for a test split that is not there.

Nothing is held out silently: asking for another split is an error, NoSplit.
"""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from linnet.data.files import Files, list_images

WORDS = {
    "train": ("train", "training", "trainset", "trainval"),
    "val": ("val", "valid", "validation", "valset", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "testset", "holdout", "hold-out", "hold_out", "heldout", "held-out", "held_out"),
}
"""Split -> names of its folder, in any case."""

SHORT = {"train": ("tr", "trn"), "val": ("va", "vl"), "test": ("te", "ts", "tst")}
"""The same where all folders are such."""

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
    layout = find_layout(folders)
    if layout:
        top = f"{root}{layout[pick(layout, split, f'data.path={str(path)!r}')]}/"
        tops = [f"{root}{folder}/" for folder in layout.values()]
        return Images(files, top, [name for name in names if name.startswith(top)], beside(names, tops))
    if split != "train":
        files, names = list_images(sibling(path, split))
    return Images(files, "", names)


def find_layout(folders: Iterable[str]) -> dict[str, str]:
    """{split: its folder}, of two splits or more; {} where the folders are no layout of splits.

    ValueError where there are several layouts, none of them of the words alone.
    """
    layouts = find_layouts(folders)
    if len(layouts) > 1 and "*" not in layouts:
        one = next(iter(layouts.values()))
        raise ValueError(
            f"there are several sets of folders of splits, {' and '.join(sorted(layouts))}: give one of the folders as "
            f"data.path, such as {one.get('train', min(one.values()))}, and the others are found beside it"
        )
    layout = layouts.get("*") or next(iter(layouts.values()), {})
    return {split: layout[split] for split in WORDS if split in layout}


def find_layouts(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """{rest of the names: {split: its name}}, each of two splits or more."""
    names = sorted(names)
    short = all(split_of(name, SHORT) for name in names)
    layouts: dict[str, dict[str, str]] = {}
    for name in names:
        found = split_of(name, SHORT if short else WORDS)
        if found:
            split, rest = found
            layouts.setdefault(rest, {}).setdefault(split, name)
    return {rest: layout for rest, layout in layouts.items() if len(layout) > 1}


def split_of(name: str, words: dict[str, tuple[str, ...]]) -> tuple[str, str] | None:
    """The split that a whole word of `name` means, and the rest in small letters with * for it; None without one.

    A word begins and ends where letters do, at a capital in the middle of a name, and before A or B alone (CycleGAN).
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "/", name).lower()
    for split, of_split in words.items():
        found = re.fullmatch(rf"(.*[^a-z]|)({'|'.join(of_split)})([^a-z].*|[ab]|)", parted)
        if found:
            return split, f"{found[1]}*{found[3]}".replace("/", "")
    return None


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


def beside(names: list[str], tops: list[str]) -> tuple[str, ...]:
    """A line about the images that lie below none of the splits' folders `tops`; none where all do."""
    rest = [name for name in names if not name.startswith(tuple(tops))]
    if not rest:
        return ()
    return (f"{len(rest)} images beside the folders {', '.join(tops)} are left out, such as {rest[0]}",)


def sibling(path: Path, split: str) -> Path:
    """The path beside `path` whose name is that of `split` where this one is that of "train". NoSplit.

    As in a layout, or glued to other letters (mytrain.zip, mytest.zip).
    """
    present = {other.name: other for other in sorted(path.parent.iterdir()) if other.name[0] != "."}
    for layout in find_layouts(present).values():
        others = [layout[kind] for kind in STAND_INS[split] if kind in layout]
        if layout.get("train") == path.name and others:
            return present[others[0]]
    name, wanted = path.name.lower(), []
    for train in ("training", "train"):
        head, found, tail = name.rpartition(train)
        wanted += [head + word + tail for kind in STAND_INS[split] for word in WORDS[kind] if found]
    in_small_letters = {name.lower(): other for name, other in reversed(present.items())}
    for candidate in wanted:
        if candidate in in_small_letters:
            return in_small_letters[candidate]
    nameless = f"a path whose name has 'train' beside one with {split!r}"
    expected = repr(str(path.with_name(wanted[0]))) if wanted else nameless
    raise NoSplit(
        f"data.path={str(path)!r} has no {split} images: provide {expected}, or sub-folders train/ and {split}/"
    )


def common_folder(names: list[str]) -> str:
    """The deepest folder that holds all `names`: "" or a path that ends in "/"."""
    common = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return common + "/" if common else ""
