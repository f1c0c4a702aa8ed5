"""Networks: MODELS maps a config's model.name to a Flax module; create_model builds one from a config."""

import dataclasses

import flax.linen as nn
import ml_collections

from linnet import registry
from linnet.configs.default import BORDER
from linnet.models.ddpm import DDPM
from linnet.models.encoder import Encoder
from linnet.models.mlp import MLP
from linnet.models.ncsnpp import NCSNpp
from linnet.models.unet import UNet

MODELS: dict[str, type[nn.Module]] = {
    "ncsnpp": NCSNpp,
    "ddpm": DDPM,
    "unet": UNet,
    "mlp": MLP,
    "encoder": Encoder,
}


def create_model(config: ml_collections.ConfigDict) -> nn.Module:
    """The network of config.model: `name` picks it from MODELS, every other key is one of its fields.

    Keys that are about its border (configs.default.BORDER) and for which it has no field are skipped, fields that are
    absent or None keep their defaults, lists become tuples, and `centered` comes from config.data.centered if the
    network has that field. ValueError for an unknown name or key.
    """
    name = config.model.name
    module = registry.choose(MODELS, name, "config.model.name")
    fields = {f.name for f in dataclasses.fields(module)} - {"parent", "name"}
    given = {key: value for key, value in config.model.items() if value is not None and key != "name"}
    values = {key: value for key, value in given.items() if key in fields or key not in BORDER}
    for key in values:
        if key not in fields:
            near = registry.suggestion(key, fields)
            known = ", ".join(sorted(fields | BORDER.keys()))
            raise ValueError(f"config.model.{key} means nothing to {name}{near}; it takes {known}")
    if "centered" in fields and "centered" in config.get("data", {}):
        values.setdefault("centered", config.data.centered)
    tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return module(**{**values, **tuples})
