"""Names that a config gives to what is registered in a dictionary: one lookup, one error, one list.

An entry that takes keys of its config group of its own, which mean nothing to the others, says which in `config_keys`;
the fields of samplers and networks and the parameters of processes say it by themselves.
"""

import difflib
import functools
import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def near(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The nearest of `known`, whatever the case of `name`, or nothing; a list of at most one."""
    known = list(known)
    tried = (difflib.get_close_matches(text, known, 1, cutoff) for text in (name, name.lower()))
    return next(filter(None, tried), [])


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """` (did you mean x?)` for the nearest of `known`, or an empty string when none is near."""
    return "".join(f" (did you mean {one}?)" for one in near(name, known, cutoff))


def check(known: Collection[Any], name: Any, key: str) -> None:
    """ValueError that names the key, the nearest entry and all entries, unless `name` is one of them."""
    if name not in known:
        names = [*map(str, known)]
        raise ValueError(f"{key}={name!r} is unknown{suggestion(str(name), names)}; choose from {', '.join(names)}")


def choose(known: Mapping[str, T], name: str, key: str) -> T:
    """known[name]. ValueError as `check`."""
    check(known, name, key)
    return known[name]


def keys_of(entry: Any) -> tuple[str, ...]:
    """The keys that an entry says it takes beside those that all entries take."""
    return getattr(entry.func if isinstance(entry, functools.partial) else entry, "config_keys", ())


def takes(*keys: str) -> Any:
    """Decorator of a function that is an entry: the keys that it takes."""

    def mark(function: Any) -> Any:
        function.config_keys = keys
        return function

    return mark


def table(known: Iterable[str]) -> str:
    """The names, a line each, with the first sentence of what documents the entry."""
    entries = known if isinstance(known, Mapping) else dict.fromkeys(known)
    width = max(map(len, entries))
    return "\n".join(f"{name or repr(name):{width}}  {purpose(entry)}".rstrip() for name, entry in entries.items())


def purpose(entry: Any) -> str:
    """The first line of the docstring of a class or function (for one with arguments bound: of its own)."""
    own = entry.func if isinstance(entry, functools.partial) else entry
    documented = inspect.isclass(own) or inspect.isfunction(own)
    return (inspect.getdoc(own) or "").partition("\n")[0] if documented else ""
