"""Linnet as a library: linnet.sde_lib, .models, .samplers, .training, .data, .evaluation, .interop.

    import linnet
    from linnet.sde_lib import VP
    from linnet.samplers import get_sampler

A wheel holds these folders below the package. In a clone they lie beside it, where `python main.py` and its readers
expect them, and are the package's all the same: its path names the clone's folder too (see `linnet.clone`).
"""

from pathlib import Path

__version__ = "0.2.0"

BESIDE = Path(__file__).resolve().parent.parent
"""The folder that holds this package: of a clone, it holds the others as well."""

if (BESIDE / "main.py").exists() and (BESIDE / "sde_lib").is_dir():
    __path__.append(str(BESIDE))
    from linnet import clone

    clone.install(BESIDE)
