"""Samplers. SAMPLERS names them; `get_sampler(config, sde)` builds the one that config.sampling.method names."""

import dataclasses
from typing import Any

from linnet import registry
from linnet.samplers.ancestral import DDIM, Ancestral
from linnet.samplers.base import Sampler
from linnet.samplers.base import Samples as Samples
from linnet.samplers.deis import IPNDM, RhoAB, RhoRK
from linnet.samplers.dpm_solver import DPMpp2M, DPMpp3M, DPMppSDE, UniPC
from linnet.samplers.edm import Heun
from linnet.samplers.euler_maruyama import SSCS, EulerMaruyama
from linnet.samplers.fixed_point import FixedPoint
from linnet.samplers.gddim import GDDIM, LDEIS, PEC, PECE, SDEIS, HybridGDDIM, Order0
from linnet.samplers.ode import ODE
from linnet.samplers.predictor_corrector import PredictorCorrector
from linnet.sde_lib.base import LinearSDE

SAMPLERS: dict[str, type[Sampler]] = {
    "gddim": GDDIM,
    "deis": GDDIM,
    "mldeis": GDDIM,
    "ldeis": LDEIS,
    "hybdeis": HybridGDDIM,
    "order0": Order0,
    "gddim_pec": PEC,
    "gddim_pece": PECE,
    "sdeis": SDEIS,
    "rho_ab": RhoAB,
    "rho_rk": RhoRK,
    "ipndm": IPNDM,
    "dpmpp_2m": DPMpp2M,
    "dpmpp_3m": DPMpp3M,
    "dpmpp_sde": DPMppSDE,
    "unipc": UniPC,
    "heun": Heun,
    "em": EulerMaruyama,
    "sscs": SSCS,
    "pc": PredictorCorrector,
    "ode": ODE,
    "ddpm": Ancestral,
    "ddim": DDIM,
    "fixed_point": FixedPoint,
}


INSIDE = ("sde", "corrections")
"""What a sampler takes that no key of a config says; corrections come with a tuned table."""


def config_keys(method: str) -> list[str]:
    """The keys of config.sampling that `method` takes. ValueError for an unknown method."""
    chosen = registry.choose(SAMPLERS, method, "config.sampling.method")
    return [field.name for field in dataclasses.fields(chosen) if field.init and field.name not in INSIDE]


def get_sampler(config: Any, sde: LinearSDE, network: Any = None) -> Sampler:
    """The sampler config.sampling.method for the process `sde`, with the keys of config.sampling that it takes.

    A key that is absent or None has the default of the method (which grid, how many evaluations). network: what it will
    be called with, where that is known. ValueError for an unknown method, or one that makes no sense for the process or
    takes another kind of network.
    """
    method = config.sampling.method
    chosen = {key: config.sampling[key] for key in config_keys(method) if config.sampling.get(key) is not None}
    if config.sampling.get("corrections") is not None:
        chosen["corrections"] = config.sampling.corrections
    suitable = SAMPLERS[method].processes
    if not suitable.accept(sde):
        others = [name for name, sampler in SAMPLERS.items() if sampler.processes.accept(sde)]
        raise ValueError(
            f"config.sampling.method {method!r} is for processes with {suitable.name}, which "
            f"{type(sde).__name__} does not have; use one of {', '.join(others)}"
        )
    if network is not None:
        SAMPLERS[method].check(network)
    return SAMPLERS[method](sde, **chosen)


def table() -> str:
    """What `--config.sampling.method=list` prints: name, order, evaluations a step, processes, reference, keys."""
    rows: list[tuple[str, ...]] = [
        ("method", "order", "NFE per step", "noise", "processes", "reference", "keys of config.sampling")
    ]
    first = {sampler: name for name, sampler in reversed(SAMPLERS.items())}
    noise = {True: "yes", False: "no"}
    for name, sampler in SAMPLERS.items():
        shown = name if first[sampler] == name else f"{name} = {first[sampler]}"
        drawn = noise.get(sampler.stochastic, sampler.stochastic)
        cells = (shown, sampler.order, sampler.nfe_per_step, drawn, sampler.processes.name, sampler.reference)
        rows.append((*map(str, cells), " ".join(config_keys(name))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
