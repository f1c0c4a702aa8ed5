"""Networks: MODELS maps a config's model.name to a Flax module; create_model builds one from a config."""

import dataclasses
import difflib
from collections.abc import Iterable

import flax.linen as nn
import ml_collections

from linnet.models.ddpm import DDPM
from linnet.models.mlp import MLP
from linnet.models.ncsnpp import NCSNpp
from linnet.models.unet import UNet

MODELS: dict[str, type[nn.Module]] = {"ncsnpp": NCSNpp, "ddpm": DDPM, "unet": UNet, "mlp": MLP}

BORDER = frozenset(
    {
        "name",
        "ema_rate",
        "mixed_score",
        "prediction",
        "sigma_data",
        "variance",
        "rescale_timesteps",
        "num_scales",
        "context_noise",
    }
)
"""Keys of config.model that a network need not have: name, averaging of weights, meaning of the output, its chain."""


def create_model(config: ml_collections.ConfigDict) -> nn.Module:
    """The network of config.model: `name` picks it from MODELS, every other key is one of its fields.

    Keys in BORDER that it has no field for are skipped, fields that are absent or None keep their defaults, lists
    become tuples, and `centered` comes from config.data.centered if the network has that field. ValueError for an
    unknown name or key.
    """
    name = config.model.name
    if name not in MODELS:
        raise ValueError(f"model.name={name!r} is unknown{_did_you_mean(name, MODELS)}; valid names: {_listed(MODELS)}")
    module = MODELS[name]
    fields = {f.name for f in dataclasses.fields(module)} - {"parent", "name"}
    given = {key: value for key, value in config.model.items() if value is not None}
    values = {key: value for key, value in given.items() if key in fields or key not in BORDER}
    for key in values:
        if key not in fields:
            raise ValueError(
                f"model.{key} means nothing to {name}{_did_you_mean(key, fields)}; "
                f"valid keys: {_listed(fields | BORDER)}"
            )
    if "centered" in fields and "centered" in config.get("data", {}):
        values.setdefault("centered", config.data.centered)
    tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return module(**{**values, **tuples})


def _did_you_mean(word: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(candidates), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
