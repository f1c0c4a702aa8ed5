"""Samplers. SAMPLERS names them; `get_sampler(config, sde)` builds the one that config.sampling.method names."""

import inspect

from samplers.base import Sampler
from samplers.base import Samples as Samples
from samplers.exponential import Exponential, LExponential

SAMPLERS = {"gddim": Exponential, "deis": Exponential, "ldeis": LExponential}


def keys(method) -> list[str]:
    """The keys of config.sampling that `method` takes. ValueError for an unknown method."""
    if method not in SAMPLERS:
        raise ValueError(f"config.sampling.method {method!r} is unknown; use one of {', '.join(SAMPLERS)}")
    return [p for p in inspect.signature(SAMPLERS[method]).parameters if p != "sde"]


def get_sampler(config, sde) -> Sampler:
    """The sampler config.sampling.method for the process `sde`, with the keys of config.sampling that it takes."""
    chosen = {key: config.sampling[key] for key in keys(config.sampling.method) if key in config.sampling}
    return SAMPLERS[config.sampling.method](sde, **chosen)
