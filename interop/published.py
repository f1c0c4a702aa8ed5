"""What a reader hands over: parameters under our names, and what else the file says about its network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from linnet import registry


@dataclasses.dataclass(frozen=True)
class Loaded:
    """leaves: arrays by our names ("Conv_0/kernel"), in our layout, any float dtype.

    fields: keys of the config ("model.prediction") with the value that the network of the file needs; only those
    that the shapes do not show. left_out: names in the file that sampling does not need. kind: what the leaves are:
    "ema" (averages), "raw" (of the last step), or "unknown" where the file does not say.
    """

    leaves: Mapping[str, np.ndarray]
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    kind: str = "unknown"


def check_kind(params: str) -> None:
    """ValueError unless `params` is "ema" or "raw"."""
    registry.check(("ema", "raw"), params, "params")
