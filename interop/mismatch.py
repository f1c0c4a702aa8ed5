"""How the parameters of a file differ from those of a config, and which keys would make them agree."""

import dataclasses

from interop import architecture
from interop.known import suggestion


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """missing, unexpected: {name: shape}; misshaped: {name: (shape in the file, shape of the config)};
    keys: {key of the config: (value there, value of the file)}; config: the published config that fits, or ""."""

    missing: dict
    unexpected: dict
    misshaped: dict
    keys: dict
    config: str

    def __bool__(self):
        return bool(self.missing or self.unexpected or self.misshaped or self.keys)

    def summary(self) -> str:
        """One line: the keys that most likely differ, how many names do, and what to do."""
        keys = [f"config.{key} is {ours!r}, the file needs {theirs!r}" for key, (ours, theirs) in self.keys.items()]
        counts = (len(self.missing), len(self.unexpected), len(self.misshaped))
        named = "{} names missing, {} unexpected, {} of another shape".format(*counts)
        advice = [f"use --config={self.config}"] if self.config else []
        flags = [f"--config.{key}={_flag(theirs)}" for key, (_, theirs) in self.keys.items()]
        advice += [f"set {' '.join(flags)}"] if flags else []
        advice = advice or ["compare the names below with config.model"]
        return "; ".join([*keys, named, " or ".join(advice)])

    def lines(self) -> list[str]:
        """Every name that differs, with its shapes."""
        return [
            *(f"missing from the file: {name} {shape}" for name, shape in self.missing.items()),
            *(f"unexpected in the file: {name} {shape}" for name, shape in self.unexpected.items()),
            *(f"other shape: {name} is {a} in the file, {b} in the config" for name, (a, b) in self.misshaped.items()),
        ]


def compare(published, expected, config) -> Mismatch:
    """The Mismatch, false if there is none, of a `Published` and the shapes that `config` asks for."""
    theirs = {name: tuple(leaf.shape) for name, leaf in published.leaves.items()}
    missing = {name: expected[name] for name in expected if name not in theirs}
    unexpected = {name: theirs[name] for name in theirs if name not in expected}
    shared = [name for name in expected if name in theirs]
    misshaped = {name: (theirs[name], expected[name]) for name in shared if theirs[name] != expected[name]}
    keys = _differing_fields(published.fields, config)
    differ = missing or unexpected or misshaped
    if differ:
        keys |= _differing_sizes(theirs, expected, config)
    known = suggestion(theirs, published.fields) if differ or keys else ""
    return Mismatch(missing, unexpected, misshaped, keys, known)


def _differing_fields(fields, config):
    """{key: (ours, theirs)} of the keys that the file itself states."""
    differing = {}
    for key, value in fields.items():
        group, name = key.split(".")
        ours = config[group].get(name)
        if ours != value:
            differing[key] = (ours, value)
    return differing


def _differing_sizes(theirs, expected, config):
    """{key: (ours, theirs)} of the keys that the shapes show."""
    file, ours = architecture.describe(theirs), architecture.describe(expected)
    keys = [key for key in file if key in config.model and key in ours and ours[key] != file[key]]
    differing = {f"model.{key}": (ours[key], file[key]) for key in keys}
    levels = file.get("attention_levels") != ours.get("attention_levels")
    if levels and "model.ch_mult" not in differing:
        resolutions = architecture.attention_resolutions(theirs, file, config.data.image_size)
        differing["model.attn_resolutions"] = (tuple(config.model.attn_resolutions), resolutions)
    return differing | _differing_channels(theirs, expected, config)


def _differing_channels(theirs, expected, config):
    """The key behind another number of channels: the process where it is doubled or halved, else the images."""
    a, b = architecture.channels(theirs), architecture.channels(expected)
    if not (a and b) or a == b:
        return {}
    if a in (2 * b, b / 2):
        return {"sde.name": (config.sde.name, "cld" if a > b else "vp")}
    return {"data.num_channels": (config.data.num_channels, a * config.data.num_channels // b)}


def _flag(value):
    return str(value).replace(" ", "") if isinstance(value, tuple) else str(value)
