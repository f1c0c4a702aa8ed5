"""Keys of a config whose value is a name, and where that name is registered."""

from linnet.data.names import suggestion
from linnet.evaluation.features import EXTRACTORS
from linnet.models.layers import DTYPES
from linnet.models.predictions import PREDICTIONS
from linnet.samplers import SAMPLERS
from linnet.samplers.deis import RK
from linnet.samplers.grids import GRIDS
from linnet.samplers.likelihood import ESTIMATORS
from linnet.samplers.predictor_corrector import CORRECTORS, PREDICTORS
from linnet.sde_lib.chain import VARIANCES
from linnet.sde_lib.vp import SCHEDULES
from linnet.training import estimates
from linnet.training.objectives import OBJECTIVES
from linnet.training.timestep_samplers import TIMESTEP_SAMPLERS

NAMES = {
    "sde.schedule": SCHEDULES,
    "network_sde.schedule": SCHEDULES,
    "model.prediction": PREDICTIONS,
    "model.variance": VARIANCES,
    "model.dtype": DTYPES,
    "training.objective": OBJECTIVES,
    "training.timestep_sampler": TIMESTEP_SAMPLERS,
    "training.memory": estimates.PLACES,
    "training.memory_dtype": estimates.DTYPES,
    "optim.optimizer": ("Adam", "AdamW"),
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
}


def check(config):
    """ValueError for a name that is registered nowhere, whether or not this verb would use it; None is the default."""
    for key, registered in NAMES.items():
        group, _, key_in_group = key.partition(".")
        name = config[group].get(key_in_group)
        if name is not None and name not in registered:
            near = suggestion(name, registered)
            raise ValueError(f"config.{key}={name!r} is unknown{near}; choose from {', '.join(registered)}")
