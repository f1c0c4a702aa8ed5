"""Checkpoints of score_sde_pytorch (.pth): NCSN++, DDPM++ and DDPM.

    {model: {[module.]all_modules.<i>...: tensor, [module.]sigmas: tensor}, ema: {shadow_params: [tensor]},
     optimizer, step}

The averages have no names: they follow the order of `model`, without its buffer of noise levels and without the
Fourier frequencies, which are not trained and are taken from `model`; other wrappers are those of `state_dicts`.
CLD-SGM writes the same layout; its networks are told by an output of half as many channels as the input, and converted
by `interop.cld_sgm`.

A DDPM holds the same arrays as an NCSN++ with its blocks (resblock_type=ddpm). None of the latter is published, so it
is read as such only where the config asks for one.
"""

import re
from pathlib import Path

from ml_collections import ConfigDict

from linnet.files import torch_files
from linnet.files.refused import Refused
from linnet.interop import all_modules, cld_sgm, diffusers_folder, foreign, known, state_dicts
from linnet.interop.published import Loaded

BUFFER = "sigmas"
FROZEN = "all_modules.0.W"
ANCHOR = re.compile(rf"(?<![^.]){re.escape(all_modules.PREFIX)}\d")


def recognises(path: Path) -> bool:
    """Whether the file is one of torch's, or another that names such layers."""
    return torch_files.recognises(path) or state_dicts.recognises(path, ANCHOR)


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The averaged ("ema") or raw parameters."""
    found = _find(path, params)
    arrays = state_dicts.arrays(path, {name: each for name, each in found.tensors.items() if name != BUFFER})
    leaves = all_modules.rename(arrays, all_modules.network_of(arrays))
    if cld_sgm.recognises(leaves):
        return cld_sgm.convert(leaves, found.kind)
    fields = known.stated(leaves, config)
    if not fields and config.model.name == "ncsnpp" and config.model.resblock_type == "ddpm":
        leaves = all_modules.rename(arrays, "ncsnpp")
    return Loaded(leaves, fields, found.others, found.kind)


def _find(path, params):
    """The StateDict. Refused for another network, and for a training state without the averages that are asked for."""
    content = state_dicts.read(path)
    found = state_dicts.find(path, content, ANCHOR, params, untrained=(BUFFER, FROZEN))
    if found is None and not isinstance(content, dict):
        raise Refused(f"{path}: holds a {type(content).__name__}, not the parameters of a network by name")
    if found is None and state_dicts.recognises(path, diffusers_folder.ANCHOR):
        raise Refused(f"{path}: {foreign.DIFFUSERS}")
    if found is None:
        names = [name.removeprefix("model.") for name, _ in state_dicts.leaves(content)]
        raise Refused(
            f"{path}: torch parameters, but not of NCSN++ or DDPM as score_sde_pytorch or CLD-SGM write them; it holds "
            f"{', '.join(names)[:200]}"
        )
    if params == "ema" and found.kind == "raw":
        raise Refused(f"{path}: holds no averaged parameters; ask for the raw ones (--config.eval.params=raw)")
    return found
