"""--config.group.key=value: keys of a config changed on the command line."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from linnet.config_keys import NAMED, known, resolve
from linnet.configs.default import BORDER

FLAG = re.compile(r"--?(no)?config\.([^=]+)(?:=(.*))?$", re.DOTALL)


def split(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """(the arguments that are no keys of the config, {"group.key": text}); of a key given twice the last one counts.

    As absl's: --config.a.b=3, --config.a.b 3, --config.a.b for True and --noconfig.a.b for False.
    """
    rest, texts = [], {}
    arguments = list(arguments)
    while arguments:
        argument = arguments.pop(0)
        match = FLAG.match(argument)
        if match is None:
            rest.append(argument)
            continue
        off, key, text = match.groups()
        if text is None and not off and arguments and not arguments[0].startswith("--"):
            text = arguments.pop(0)
        texts[key] = text if text is not None else "False" if off else "True"
    return rest, texts


def apply(config: ConfigDict, texts: Mapping[str, str]) -> ConfigDict:
    """The config with the values that the texts mean. ValueError as `resolve`."""
    found = own_process(config.to_dict(), texts)
    for group, registered in NAMED.items():
        name = texts.get(f"{group}.name", found[group]["name"])
        if name != found[group]["name"]:
            found[group] = {"name": name} | border_of(found[group], registered.get(name, {}))
    _, kinds = known(found)
    for key, text in texts.items():
        group, _, name = key.rpartition(".")
        value = kinds[key].read(text) if key in kinds else text
        if group:
            found.setdefault(group, {})[name] = value
        else:
            found[name] = value
    try:
        return resolve(found)
    except ValueError as error:
        before = config.sde.name
        after = found["sde"]["name"]
        if after == before or "config.sde." not in str(error) or "network_sde.name" in texts:
            raise
        more = f"to make images under {after} by a network of {before}, add --config.network_sde.name={before}"
        raise ValueError(f"{error}; {more}") from error


def border_of(before: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Of the keys of another process or network those of `before` that are about the border of networks alone."""
    return {key: value for key, value in before.items() if key in BORDER and key in keys}


def own_process(found: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The groups `found` where flags name the network's own process: its keys are those of `sde` if that is it.

    Another process in `sde` then begins from its defaults.
    """
    name = texts.get("network_sde.name")
    if name is None:
        return found
    before = found["sde"]
    after = texts.get("sde.name", before["name"])
    own = before if before["name"] == name else {"name": name}
    return found | {"network_sde": dict(own), "sde": before if after == before["name"] else {"name": after}}
