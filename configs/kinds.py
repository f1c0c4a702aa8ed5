"""Kinds of values that a key may hold: how one is read from the command line, and what of a file is taken for one.

A kind has `read(text)`, the Python value that the text of a flag means (or the text itself, where it means none), and
`convert(value)`, that value as the program uses it. `convert` raises ValueError with words that go on after
"config.group.key=value must be ".
"""

import dataclasses
import math
import numbers
import operator
import os
import re
from typing import Any, TypeAlias


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number: int is a whole one (1e5 as well), float any, numbers.Real either, left as it is."""

    type: Any = float
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    infinite: bool = False  # whether inf is a value

    def read(self, text: str) -> Any:
        """The value that the text of a flag means, or the text."""
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
        return text

    def convert(self, value: Any) -> Any:
        """The value as the program uses it. ValueError with what it must be."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(self.noun)
        if not (math.isfinite(value) or (self.infinite and value == math.inf)):
            raise ValueError("finite")
        if self.type is int and value != math.floor(value):
            raise ValueError(self.noun)
        if not all(HOLDS[name](value, end) for name, end in self.ends.items()):
            raise ValueError(" and ".join(f"{name.replace('_', ' ')} {end}" for name, end in self.ends.items()))
        return value if self.type is numbers.Real else self.type(value)

    @property
    def noun(self) -> str:
        """What it is, for messages."""
        return "a whole number" if self.type is int else "a number"

    @property
    def ends(self) -> dict[str, float]:
        """The ends of the range that there are, by name."""
        return {name: getattr(self, name) for name in HOLDS if getattr(self, name) is not None}


HOLDS = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}


class Switch:
    """True or False."""

    WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

    def read(self, text: str) -> Any:
        return self.WORDS.get(text.lower(), text)

    def convert(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise ValueError("True or False")
        return value


class Text:
    """A string."""

    def read(self, text: str) -> Any:
        return text

    def convert(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("text (in quotes)")
        return value


@dataclasses.dataclass(frozen=True)
class Several:
    """A tuple of `least` to `most` values of one kind; where `alone`, one value that is no tuple stays one."""

    item: Number | Text
    alone: bool = False
    least: int = 0
    most: float = math.inf

    def read(self, text: str) -> Any:
        match = re.fullmatch(r"\((.*)\)|\[(.*)\]|([^()\[\]]*)", text.strip())
        if match is None:
            return text
        inside = match[match.lastindex or 0]
        if self.alone and inside and "," not in text and "[" not in text:
            return self.item.read(inside)
        return tuple(self.item.read(part.strip(" '\"")) for part in inside.split(",") if part.strip())

    def convert(self, value: Any) -> Any:
        many = isinstance(value, tuple | list)
        try:
            items = tuple(self.item.convert(one) for one in (value if many else (value,)))
        except ValueError as error:
            words = f"{error}, or a tuple of such" if self.alone else f"a tuple like (1, 2), each {error}"
            raise ValueError(words) from error
        if self.alone and not many:
            return items[0]
        if not self.least <= len(items) <= self.most:
            raise ValueError(f"of length {self.least}" + " or more" * (self.most > self.least))
        return items


@dataclasses.dataclass(frozen=True)
class Path(Text):
    """A path of this machine; ~ is the home folder."""

    may_be_empty: bool = True

    def convert(self, value: Any) -> Any:
        path = super().convert(os.fspath(value) if isinstance(value, os.PathLike) else value)
        if not path and not self.may_be_empty:
            raise ValueError("a path, and is empty")
        if "://" in path:
            raise ValueError("a path of this machine: remote ones are neither read nor written; copy or mount it")
        return os.path.expanduser(path)


@dataclasses.dataclass(frozen=True)
class Optional:
    """A kind, or None."""

    kind: Number | Text | Switch

    def read(self, text: str) -> Any:
        return None if text == "None" else self.kind.read(text)

    def convert(self, value: Any) -> Any:
        return None if value is None else self.kind.convert(value)


Kind: TypeAlias = Number | Switch | Text | Several | Optional


def checked(name: str, kind: Kind, value: Any) -> Any:
    """`value` as the kind takes it; its ValueError begins with `name`."""
    try:
        return kind.convert(value)
    except ValueError as error:
        raise ValueError(f"{name}={value!r} must be {error}") from error
