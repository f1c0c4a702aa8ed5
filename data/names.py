"""Choice of an entry of a dictionary by the name a config gives, with the nearest names in the error."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `known`, or an empty string when none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def choose(table: Mapping[str, T], name: str, key: str) -> T:
    """`table[name]`; a ValueError that names the config key, the nearest entry and all entries otherwise."""
    if name not in table:
        raise ValueError(f"{key}={name!r} is unknown{suggestion(name, table)}; choose from {', '.join(table)}")
    return table[name]
