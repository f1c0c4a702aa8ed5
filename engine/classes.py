"""The classes of a network: how many, their names, and labels that mean to it what they meant in training.

A network knows its classes by number. Training notes the name of each number in config.data.classes, which lies in
config.json, in every checkpoint and beside exported parameters. Data that are read later are numbered by these names,
so that a folder more or less does not give the others another meaning.
"""

import unicodedata
from collections.abc import Sequence

from linnet.data.source import Renumbered, Source

FOLLOW = -1
"""config.model.num_classes for as many as the data has."""

SHOWN = 10


def follow(source: Source) -> int:
    """The number that FOLLOW stands for, of the training images. ValueError where they have no labels."""
    if not source.num_classes:
        raise ValueError(f"config.model.num_classes={FOLLOW} is for data with labels: {unlabelled(source, 'train')}")
    return source.num_classes


def unlabelled(source: Source, split: str) -> str:
    """What to do about images without labels."""
    return (
        f"the {split} images of {source.name} have none; sort them into a folder for each class, or "
        "train without classes by config.model.num_classes=0"
    )


def labelled(source: Source, split: str, number: int, names: Sequence[str]) -> Source:
    """The source of a split with the labels of a network of `number` classes; as it is for a network without classes.

    names: those of the network's classes by number; () where they are the data's. ValueError where the data has another
    number of classes than the network, other classes, or none.
    """
    if not number:
        return source
    if not source.num_classes:
        raise ValueError(f"config.model.num_classes={number} needs labels: {unlabelled(source, split)}")
    names = names or source.class_names
    new = [name for name in source.class_names if name not in names]
    if new:
        raise ValueError(
            f"{source.name} ({split}) has classes that the network does not know: {listed(new)}; it knows "
            f"{listed(names)}: leave their images out, or train in a new --workdir"
        )
    if len(names) != number:
        raise ValueError(
            f"config.model.num_classes={number}, but {source.name} ({split}) has {len(names)} classes, "
            f"{listed(names)}: set config.model.num_classes={len(names)}, or {FOLLOW} for as many as the data has"
        )
    return source if source.class_names == names else Renumbered(source, tuple(names))


def listed(names: Sequence[str]) -> str:
    """The names, or the first of very many."""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def table(names: Sequence[str]) -> str:
    """The table of numbers and names, in one line."""
    return "classes: " + listed([f"{number} = {name}" for number, name in enumerate(names)])


def number_of(part: str, names: Sequence[str]) -> int | None:
    """The number of a class given by name, or else by number; None where it is neither.

    Spaces around it do not count, nor how accents are written: names of folders made on a Mac have theirs apart.
    """
    numbers = {unicodedata.normalize("NFC", name): number for number, name in enumerate(names)}
    for text in (part, part.strip()):
        number = numbers.get(unicodedata.normalize("NFC", text))
        if number is not None:
            return number
    return int(part) if part.strip().isdecimal() else None
