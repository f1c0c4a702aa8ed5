"""Forward processes. SDES names them; `get_sde(config)` builds the one that config.sde describes."""

import inspect
from typing import Any

from linnet import registry
from linnet.sde_lib.base import LinearSDE as LinearSDE
from linnet.sde_lib.blur import Blur
from linnet.sde_lib.cld import CLD
from linnet.sde_lib.edm import EDM
from linnet.sde_lib.flow import Flow
from linnet.sde_lib.hold import HOLD
from linnet.sde_lib.pld import PLD
from linnet.sde_lib.subvp import SubVP
from linnet.sde_lib.trig import Trig
from linnet.sde_lib.ve import VE
from linnet.sde_lib.vp import VP

SDES: dict[str, type[Any]] = {
    "vp": VP,
    "subvp": SubVP,
    "ve": VE,
    "edm": EDM,
    "flow": Flow,
    "trig": Trig,
    "cld": CLD,
    "pld": PLD,
    "hold": HOLD,
    "blur": Blur,
}


def get_sde(config: Any) -> LinearSDE:
    """The process named config.sde.name, with the other keys of config.sde as its parameters.

    image_shape is (H, W) from config.data.image_size. ValueError for a name or a key that does not exist.
    """
    params = dict(config.sde)
    name = params.pop("name")
    process = registry.choose(SDES, name, "config.sde.name")
    allowed = [p for p in inspect.signature(process).parameters if p != "image_shape"]
    for key in params:
        if key not in allowed:
            raise ValueError(f"config.sde.{key} means nothing to {name!r}; it takes {', '.join(allowed)}")
    size = config.data.image_size
    return process(**params, image_shape=(size, size) if isinstance(size, int) else tuple(size))
