"""Checkpoints of score_sde_pytorch (.pth): NCSN++, DDPM++ and DDPM.

    {model: {[module.]all_modules.<i>...: tensor, [module.]sigmas: tensor}, ema: {shadow_params: [tensor]},
     optimizer, step}

The averages have no names: they follow the order of `model`, without its buffer of noise levels and without the
Fourier frequencies, which are not trained and are taken from `model`. CLD-SGM writes the same layout; its networks
are told by an output of half as many channels as the input, and converted by `interop.cld_sgm`.

A DDPM holds the same arrays as an NCSN++ with its blocks (resblock_type=ddpm). None of the latter is published, so it
is read as such only where the config asks for one.
"""

from pathlib import Path

from linnet.files import torch_files
from linnet.files.refused import Refused
from linnet.interop import all_modules, cld_sgm, known
from linnet.interop.published import Published

BUFFER = "sigmas"
FROZEN = "all_modules.0.W"


def recognises(path: Path) -> bool:
    """Whether the file is one of torch's."""
    return torch_files.recognises(path)


def read(path: Path, config, params: str) -> Published:
    """The averaged ("ema") or raw parameters."""
    model, shadow = _parts(path, torch_files.read(path))
    if params == "ema":
        model = _averaged(path, model, shadow)
    arrays = torch_files.arrays(path, model)
    leaves = all_modules.rename(arrays, all_modules.network_of(arrays))
    if cld_sgm.recognises(leaves):
        return cld_sgm.convert(leaves, params)
    fields = known.stated(leaves, config)
    if not fields and config.model.name == "ncsnpp" and config.model.resblock_type == "ddpm":
        leaves = all_modules.rename(arrays, "ncsnpp")
    return Published(leaves, fields, kind=params)


def _parts(path, content):
    """(tensors by name, list of averages or None)."""
    if not isinstance(content, dict):
        raise Refused(f"{path}: holds a {type(content).__name__}, not the parameters of a network by name")
    model, ema = content.get("model", content), content.get("ema")
    names = [str(name).removeprefix("module.") for name in model] if isinstance(model, dict) else []
    if not any(name.startswith(all_modules.PREFIX) for name in names):
        raise Refused(
            f"{path}: torch parameters, but not of NCSN++ or DDPM as score_sde_pytorch or CLD-SGM write them; it holds "
            f"{', '.join(names or map(str, content))[:200]}"
        )
    tensors = dict(zip(names, model.values(), strict=True))
    tensors.pop(BUFFER, None)
    return tensors, ema.get("shadow_params") if isinstance(ema, dict) else None


def _averaged(path, model, shadow):
    """`model` with its trained tensors replaced by their averages."""
    if not isinstance(shadow, list):
        raise Refused(f"{path}: holds no averaged parameters; ask for the raw ones (--config.eval.params=raw)")
    trained = [name for name in model if name != FROZEN]
    if len(trained) != len(shadow):
        raise Refused(f"{path}: {len(shadow)} averages for {len(trained)} trained tensors: they cannot be told apart")
    for name, average in zip(trained, shadow, strict=True):
        if getattr(average, "shape", None) != model[name].shape:
            raise Refused(
                f"{path}: the average of {name} is {getattr(average, 'shape', average)!r}, not {model[name].shape}"
            )
    return model | dict(zip(trained, shadow, strict=True))
