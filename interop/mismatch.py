"""How the parameters of a file differ from those of a config, and which keys would make them agree."""

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from linnet.files.refused import printable
from linnet.interop import architecture
from linnet.interop.known import family, suggestion
from linnet.interop.published import Loaded
from linnet.interop.stored_config import DEFAULTS
from linnet.sde_lib import SDES

CHOICES = ("sde.name", "model.name")
"""Keys that decide which other keys there are: with another value, the rest of their group means nothing."""


PROCESSES = {"vp": SDES["vp"], "cld": SDES["cld"]} | SDES
"""Processes in the order in which networks of as many components are most likely theirs."""


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """missing, unexpected: {name: shape}; misshaped: {name: (shape in the file, shape of the config)};
    keys: {key of the config: (value there, value of the file)}; config: one that fits, a folder of such, or ""."""

    missing: dict
    unexpected: dict
    misshaped: dict
    keys: dict
    config: str

    def __bool__(self):
        return bool(self.missing or self.unexpected or self.misshaped or self.keys)

    def summary(self) -> str:
        """One line: the keys that most likely differ, how many names do, and what to do."""
        counts = (len(self.missing), len(self.unexpected), len(self.misshaped))
        named = "{} names missing, {} unexpected, {} of another shape".format(*counts)
        if self.config:
            parts = [f"config.{key} is {a!r}, the file needs {b!r}" for key, (a, b) in self.keys.items()]
            parts += [named, f"use {self.config}"]
        elif self.keys:
            flags = _flags(self.keys)
            values = ", ".join(repr(ours) for ours, _ in self.keys.values())
            parts = [named, f"set {flags} (the config has {values})"]
        else:
            parts = [named, "compare the names below with config.model"]
        return printable("; ".join(parts))

    def lines(self) -> list[str]:
        """Every name that differs, with its shapes."""
        lines = [
            *(f"missing from the file: {name} {shape}" for name, shape in self.missing.items()),
            *(f"unexpected in the file: {name} {shape}" for name, shape in self.unexpected.items()),
            *(f"other shape: {name} is {a} in the file, {b} in the config" for name, (a, b) in self.misshaped.items()),
        ]
        return [printable(line) for line in lines]


def compare(published: Loaded, expected: Mapping[str, tuple[int, ...]], config: ConfigDict) -> Mismatch:
    """The Mismatch, false if there is none, of a `Loaded` and the shapes that `config` asks for."""
    theirs = {name: tuple(leaf.shape) for name, leaf in published.leaves.items()}
    missing = {name: expected[name] for name in expected if name not in theirs}
    unexpected = {name: theirs[name] for name in theirs if name not in expected}
    shared = [name for name in expected if name in theirs]
    misshaped = {name: (theirs[name], expected[name]) for name in shared if theirs[name] != expected[name]}
    network = architecture.network(theirs)
    fields = ({"model.name": network} if network else {}) | {**published.fields}
    keys = _differing_fields(fields, config)
    differ = missing or unexpected or misshaped
    if differ:
        keys = keys | _differing_sizes(theirs, expected, config) | keys
    keys = {key: values for key, values in keys.items() if _matters(key, keys)}
    fitting = suggestion(theirs, fields) if differ or _another(keys) else ""
    return Mismatch(missing, unexpected, misshaped, keys, _advice(fitting, keys, fields, config))


def needed(fields: Mapping[str, Any], config: ConfigDict) -> str:
    """The flags that give the config what the file says of itself, "" where it has it."""
    return _flags(_differing_fields(fields, config))


def _flags(keys):
    return " ".join(f"--config.{key}={_flag(theirs)}" for key, (_, theirs) in keys.items())


def _another(keys):
    """Whether the process or the network is another one."""
    return any(choice in keys for choice in CHOICES)


def _matters(key, keys):
    """Whether a key still means something where the process or the network is another one."""
    choice = f"{key.split('.')[0]}.name"
    return key == choice or choice not in keys


def _advice(fitting, keys, fields, config):
    """Which config to use; "" where setting the keys is enough."""
    if fitting:
        return f"--config={fitting}"
    if not _another(keys):
        return ""
    process = keys.get("sde.name", (None, fields.get("sde.name", config.sde.name)))[1]
    return f"the config that it was trained with, or {family(fields, process)}"


def _differing_fields(fields, config):
    """{key: (ours, theirs)} of the keys that the file itself states, but for those that the config does not know."""
    found = {}
    for key, theirs in fields.items():
        group, _, name = key.partition(".")
        ours = config[group].get(name, theirs)
        ours = tuple(ours) if isinstance(ours, list) else DEFAULTS.get(key) if ours is None else ours
        found |= {key: (ours, theirs)} if ours != theirs else {}
    return found


def _differing_sizes(theirs, expected, config):
    """{key: (ours, theirs)} of the keys that the shapes show."""
    file, ours = architecture.fields(theirs), architecture.fields(expected)
    keys = [key for key in file if key in config.model and key in ours and ours[key] != file[key]]
    differing = {f"model.{key}": (ours[key], file[key]) for key in keys}
    return differing | _differing_attention(theirs, file, ours, config) | _differing_channels(theirs, expected, config)


def _differing_attention(theirs, file, ours, config):
    """The resolutions with attention, where it is as many levels that differ in how many of them have it."""
    levels = [described.get("ch_mult", described.get("channel_mult")) for described in (file, ours)]
    attention = [described.get("attention_levels") for described in (file, ours)]
    if None in attention or attention[0] == attention[1] or levels[0] != levels[1]:
        return {}
    key = "attn_resolutions" if "attn_resolutions" in config.model else "attention_resolutions"
    resolutions = architecture.attention_resolutions(theirs, file, config.data.image_size)
    return {f"model.{key}": (tuple(config.model[key]), resolutions)}


def _differing_channels(theirs, expected, config):
    """The key behind another number of channels: the process where there are other components, else the images."""
    a, b = architecture.channels(theirs), architecture.channels(expected)
    if not (a and b) or a == b:
        return {}
    if "super_resolution" in config.model and a in (2 * b, b / 2):
        return {"model.super_resolution": (config.model.super_resolution, a > b)}
    k = SDES[config.sde.name].k
    process = next((name for name, sde in PROCESSES.items() if sde.k * b == a * k), None)
    if process:
        return {"sde.name": (config.sde.name, process)}
    return {"data.num_channels": (config.data.num_channels, a * config.data.num_channels // b)}


def _flag(value):
    return shlex.quote(str(value).replace(" ", "") if isinstance(value, tuple) else str(value))
