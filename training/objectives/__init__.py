"""Objectives. OBJECTIVES names them; `get_objective(config, eps_net)` builds config.training.objective."""

from typing import Any

from ml_collections import ConfigDict

from linnet import registry
from linnet.training.objectives.base import Objective
from linnet.training.objectives.classifier import Classifier
from linnet.training.objectives.dddm import DirectDenoising
from linnet.training.objectives.dsm import DenoisingScoreMatching
from linnet.training.objectives.hybrid import Hybrid
from linnet.training.objectives.simple import Simple
from linnet.training.objectives.vlb import VariationalBound

OBJECTIVES: dict[str, type[Any]] = {
    "dsm": DenoisingScoreMatching,
    "simple": Simple,
    "hybrid": Hybrid,
    "vlb": VariationalBound,
    "dddm": DirectDenoising,
    "classifier": Classifier,
}


def objective_class(config: ConfigDict) -> type[Any]:
    """The class that config.training names. ValueError for an unknown name."""
    return registry.choose(OBJECTIVES, config.training.objective, "config.training.objective")


def get_objective(config: ConfigDict, eps_net: Any) -> Objective:
    """The objective that config.training names and describes. ValueError for an unknown name."""
    return objective_class(config)(config, eps_net)
