"""Keys of a config whose value is a name, where that name is registered, and which other keys go with it.

`settle` is for the groups in which one key chooses an entry and others are for some entries only: those of the others
are refused, wherever they were set, and fall away where the command line changes the choice.
"""

from collections.abc import Collection, Sequence
from typing import Any

from ml_collections import ConfigDict

from linnet import registry, samplers
from linnet.configs import default
from linnet.data import DATASETS
from linnet.devices.engines import ENGINES
from linnet.engine.completions import METHODS as COMPLETIONS
from linnet.engine.editing import METHODS as EDITS
from linnet.engine.guides import GUIDANCE
from linnet.engine.masks import MASKS
from linnet.evaluation.features import EXTRACTORS
from linnet.models import MODELS
from linnet.models.layers import DTYPES
from linnet.models.predictions import PREDICTIONS
from linnet.samplers import SAMPLERS
from linnet.samplers.deis import RK
from linnet.samplers.grids import GRIDS
from linnet.samplers.likelihood import ESTIMATORS
from linnet.samplers.predictor_corrector import CORRECTORS, PREDICTORS
from linnet.sde_lib import SDES
from linnet.sde_lib.chain import VARIANCES
from linnet.sde_lib.vp import SCHEDULES
from linnet.training import estimates
from linnet.training.objectives import OBJECTIVES
from linnet.training.optimizer import OPTIMIZERS
from linnet.training.timestep_samplers import TIMESTEP_SAMPLERS

NAMES = {
    "sde.name": SDES,
    "model.name": MODELS,
    "sde.schedule": SCHEDULES,
    "network_sde.schedule": SCHEDULES,
    "model.prediction": PREDICTIONS,
    "model.variance": VARIANCES,
    "model.dtype": DTYPES,
    "training.engine": ENGINES,
    "training.objective": OBJECTIVES,
    "training.timestep_sampler": TIMESTEP_SAMPLERS,
    "training.memory": estimates.PLACES,
    "training.memory_dtype": estimates.DTYPES,
    "optim.optimizer": OPTIMIZERS,
    "sampling.method": SAMPLERS,
    "sampling.grid": GRIDS,
    "sampling.variance": VARIANCES,
    "sampling.rk_method": RK,
    "sampling.predictor": PREDICTORS,
    "sampling.corrector": CORRECTORS,
    "eval.params": ("ema", "raw"),
    "eval.extractor": EXTRACTORS,
    "eval.bpd_estimator": ESTIMATORS,
    "ood.bits": ("", "flow", "bound"),
    "inpaint.method": COMPLETIONS,
    "inpaint.mask": MASKS,
    "colorize.method": COMPLETIONS,
    "super_resolution.method": COMPLETIONS,
    "edit.method": EDITS,
}

LISTED = NAMES | {"data.dataset": DATASETS}
"""Keys whose names `=list` shows; other data sets have the names of TFDS."""

EVERY_METHOD = ("labels", *GUIDANCE, "table")


CHOICES: dict[str, dict[str, Sequence[str]]] = {
    "data.dataset": {name: registry.keys_of(source) for name, source in DATASETS.items()},
    "training.objective": {name: registry.keys_of(objective) for name, objective in OBJECTIVES.items()},
    "sampling.method": {name: samplers.config_keys(name) for name in SAMPLERS},
}
"""Keys that choose: the keys that each entry takes and others do not."""


def check(config: ConfigDict) -> None:
    """ValueError for a name that is registered nowhere, whether or not this verb would use it; None is the default."""
    for key, registered in NAMES.items():
        group, _, key_in_group = key.partition(".")
        name = config[group].get(key_in_group)
        if name is not None:
            registry.check(registered, name, f"config.{key}")


def settle(config: ConfigDict, changed: Collection[str]) -> None:
    """Sets keys that mean nothing to the chosen entries back to their defaults, or refuses them.

    changed: keys "group.name" of the command line. Keys of a file are refused unless the command line changed the
    choice that they were set for. ValueError in one line.
    """
    for choosing, keys in CHOICES.items():
        group, _, key = choosing.partition(".")
        defaults = getattr(default, group)()
        own = keys.get(config[group][key])
        if own is None:  # a name of TFDS, or none: the data set says so itself
            continue
        idle = set().union(*keys.values()) - {*own}
        for name in sorted(idle):
            here = f"{group}.{name}" in changed
            if here or (config[group][name] != value_of(defaults[name]) and choosing not in changed):
                taken = ", ".join((*own, *EVERY_METHOD * (group == "sampling"))) or "none of its own"
                raise ValueError(
                    f"config.{group}.{name}={config[group][name]!r} means nothing to {choosing}="
                    f"{config[group][key]!r}; it takes {taken}"
                )
            config[group][name] = value_of(defaults[name])


def value_of(default_value: Any) -> Any:
    """What a key holds that nothing was set to: None for a placeholder."""
    return default_value.get() if hasattr(default_value, "get") else default_value


def table(key: str) -> str:
    """The names that a key may have, a line each; of samplers with what they can do."""
    return samplers.table() if key == "sampling.method" else registry.table(LISTED[key])
