"""The config that lies beside parameters of our own, as fields that the config in use must agree on."""

from pathlib import Path
from typing import Any

from linnet.files.refused import Refused
from linnet.models.labels import STATES

FREE = {
    "sde": {"t_min"},
    "model": {"ema_rate", "dropout", "dtype", "remat", "init_scale", "variance", "context_noise"},
}
"""Keys that one may choose anew when sampling; the others of their group decide what the parameters mean."""

DEFAULTS = {"model.num_scales": STATES}
"""Keys that may be None, with what that means: configs of version 0.1 say it."""


def fields(path: Path, config: Any) -> dict:
    """config: a dict of groups, as JSON gave it -> {"sde.name": "cld", ...}. Refused where it is none."""
    try:
        found = {"data.centered": config["data"]["centered"]}
        for group, free in FREE.items():
            found |= {f"{group}.{key}": _frozen(value) for key, value in config[group].items() if key not in free}
        found |= {key: default for key, default in DEFAULTS.items() if found.get(key, default) is None}
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path}: its config has no groups sde, model and data as ours have") from error
    return found


def classes(config: Any) -> tuple[int | None, tuple[str, ...]]:
    """(model.num_classes, data.classes); (None, ()) where the config does not say."""
    try:
        return int(config["model"]["num_classes"]), tuple(map(str, config["data"].get("classes", ())))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, ()


def kind(config: Any) -> str:
    """Which parameters the config asks for, "ema" or "raw"; "unknown" where it does not say."""
    try:
        params = config["eval"]["params"]
    except (KeyError, TypeError):
        return "unknown"
    return params if params in ("ema", "raw") else "unknown"


def _frozen(value):
    return tuple(value) if isinstance(value, list) else value
