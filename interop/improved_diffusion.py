"""Files of improved-diffusion, guided-diffusion and DDDM (.pt): the parameters of one U-Net by name, nothing else.

Raw parameters (model*.pt) and averages (ema_<rate>_*.pt) are separate files of the same format, so the file decides
which of them is read, and only its name may tell which it is; a wrapper around the names tells it too (see
`state_dicts`). DDDM's networks are those that attend to an earlier estimate. Its files also hold the running estimates
of its training images, `x_bar` (images, C, H, W): `estimates` reads them, for training to go on with; they are no
parameters.
"""

import re
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from linnet.interop import state_dicts, unet_names
from linnet.interop.published import Loaded

ESTIMATES = "x_bar"
KINDS = {r"ema_0\.\d+_\d+": "ema", r"model\d+": "raw"}  # how the training scripts name their files
ANCHOR = re.compile(rf"(?<![^.]){re.escape(unet_names.FIRST)}\.weight$")


def recognises(path: Path) -> bool:
    """Whether the file names the layers of such a U-Net."""
    return state_dicts.recognises(path, ANCHOR)


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The parameters; `params` makes a difference where the file holds raw ones and averages."""
    found = _find(path, params)
    state = {name: tensor for name, tensor in found.tensors.items() if name != ESTIMATES}
    left_out = (*found.others, *([ESTIMATES] if ESTIMATES in found.tensors else []))
    named = next((kind for name, kind in KINDS.items() if re.match(name, path.name)), "unknown")
    leaves = unet_names.rename(state_dicts.arrays(path, state))
    dddm = any(name.startswith("SpatialTransformer_") for name in leaves)
    fields = {"model.prediction": "direct"} if dddm else {}
    return Loaded(leaves, fields, left_out, named if found.kind == "unknown" else found.kind)


def _find(path, params):
    return state_dicts.find(path, state_dicts.read(path), ANCHOR, params, untrained=(ESTIMATES,))


def estimates(path: Path) -> np.ndarray | None:
    """x_bar as (images, H, W, C) float32, or None where the file has none."""
    tensors = _find(path, "raw").tensors
    if ESTIMATES not in tensors:
        return None
    return state_dicts.arrays(path, {ESTIMATES: tensors[ESTIMATES]})[ESTIMATES].transpose(0, 2, 3, 1)
