"""--config.group.key=value: keys of a config changed on the command line."""

import re

from linnet.config_keys import NAMED, known, resolve

FLAG = re.compile(r"--?(no)?config\.([^=]+)(?:=(.*))?$", re.DOTALL)


def split(arguments):
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


def apply(config, texts):
    """The config with the values that the texts mean. ValueError as `resolve`."""
    found = config.to_dict()
    for group in NAMED:
        found[group]["name"] = texts.get(f"{group}.name", found[group]["name"])
    _, kinds = known(found)
    for key, text in texts.items():
        group, _, name = key.rpartition(".")
        value = kinds[key].read(text) if key in kinds else text
        if group:
            found.setdefault(group, {})[name] = value
        else:
            found[name] = value
    return resolve(found)
