"""The keys of a config: every one of configs/default.py, of the type and in the range that configs/rules.py states.

A key that is not known there is an error, which names the nearest one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from linnet import registry
from linnet.configs import default, rules
from linnet.configs.kinds import Kind, checked

NAMED = {"sde": default.SDE, "model": default.MODEL, "network_sde": default.NETWORK_SDE}
"""Groups whose keys depend on their `name`; where "" is one, they may be absent."""

GROUPS = ("ood", "inpaint", "colorize", "super_resolution", "edit", "tune", "compare")
"""Groups of the config that belong to the mode of their name."""


def known(found: Mapping[str, Any]) -> tuple[ConfigDict, dict[str, Kind]]:
    """(config, kinds): the defaults for the process and network that `found` names, and the kind of each key."""
    names: dict[str, Any] = {}
    for group, registered in NAMED.items():
        keys = found.get(group, {"name": ""} if "" in registered else None)
        names[group] = keys.get("name") if isinstance(keys, Mapping) else None
        registry.check(list(registered), names[group], f"config.{group}.name")
    config = default.get_config(*(names[group] for group in NAMED))
    groups = [("", config), *((f"{name}.", group) for name, group in config.items() if isinstance(group, ConfigDict))]
    return config, {key: kind for prefix, group in groups for key, kind in rules.kinds(prefix, group).items()}


def resolve(found: Mapping[str, Any]) -> ConfigDict:
    """found: a dict of groups of keys -> the locked ConfigDict with every key. ValueError lists what is wrong in it."""
    config, kind_of = known(found)
    values, wrong = flat(found, [name for name, group in config.items() if isinstance(group, ConfigDict)])
    for key, value in values.items():
        try:
            if key not in kind_of:
                raise ValueError(unknown(key, kind_of, found))
            set_value(config, key, checked(f"config.{key}", kind_of[key], value))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else ""))
    return config.lock()


def passed_over(found: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the groups without what GROUPS in them have of keys that are not known, those keys).

    In the config of a run they are of an earlier version, and nothing about what was trained.
    """
    _, kind_of = known(found)
    own = {name: keys for name, keys in found.items() if name in GROUPS and isinstance(keys, Mapping)}
    gone = [f"{name}.{key}" for name, keys in own.items() for key in keys if f"{name}.{key}" not in kind_of]
    kept = {name: {key: one for key, one in own[name].items() if f"{name}.{key}" not in gone} for name in own}
    return found | kept, gone


def flat(found: Mapping[str, Any], groups: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """({"group.key": value}, what is wrong with the groups themselves)."""
    values: dict[str, Any] = {}
    wrong = []
    for name, value in found.items():
        if (name in groups) != isinstance(value, Mapping):
            there = registry.suggestion(name, groups) or f" (the groups are {', '.join(groups)})"
            wrong.append(f"config.{name} is " + (f"a group, not {value!r}" if name in groups else f"unknown{there}"))
        else:
            values |= {f"{name}.{key}": one for key, one in value.items()} if name in groups else {name: value}
    return values, wrong


def set_value(config: ConfigDict, key: str, value: Any) -> None:
    """config.group.key = value."""
    group, _, name = key.rpartition(".")
    (config[group] if group else config)[name] = value


def unknown(key: str, keys: Iterable[str], found: Mapping[str, Any]) -> str:
    """The sentence on a key that is not there: with the nearest one, else with those of its group."""
    group, _, name = key.rpartition(".")
    near = nearest(key, keys)
    own = ", ".join(other.rpartition(".")[2] for other in keys if other.rpartition(".")[0] == group)
    instead = f" (did you mean config.{near}?)" if near else f" ({group or 'config'} has {own})"
    if group in NAMED:
        chosen = found[group]["name"]
        to = f"to {chosen!r}" if chosen else f"without config.{group}.name"
        return f"config.{key} means nothing {to}{instead}"
    return f"config.{key} is unknown{instead}"


def nearest(key: str, keys: Iterable[str]) -> str | None:
    """The key that `key` was meant to be: alike in its group, of the same name in another, or alike; or None."""
    group, _, name = key.rpartition(".")
    names = {other.rpartition(".")[2]: other for other in keys if other.rpartition(".")[0] == group}
    near = [names[one] for one in registry.near(name, names, 0.7)]
    near += [other for other in keys if other.rpartition(".")[2] == name]
    near += registry.near(key, keys, 0.8)
    return next(iter(near), None)
