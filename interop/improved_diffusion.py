"""Files of improved-diffusion, guided-diffusion and DDDM (.pt): the parameters of one U-Net by name, nothing else.

Raw parameters (model*.pt) and averages (ema_<rate>_*.pt) are separate files of the same format, so the file decides
which of them is read, and only its name may tell which it is. DDDM's networks are those that attend to an earlier
estimate. Its files also hold the running estimates of its training images, `x_bar` (images, C, H, W): `estimates`
reads them, for training to go on with; they are no parameters.
"""

import re
from pathlib import Path

from linnet.files import torch_files
from linnet.files.refused import Refused
from linnet.interop import unet_names
from linnet.interop.published import Published

ESTIMATES = "x_bar"
KINDS = {r"ema_0\.\d+_\d+": "ema", r"model\d+": "raw"}  # how the training scripts name their files


def recognises(path: Path) -> bool:
    """Whether the file is one of torch's and names the layers of such a U-Net."""
    if not torch_files.recognises(path):
        return False
    try:
        content = torch_files.read(path)
    except (Refused, ImportError):
        return False
    return isinstance(content, dict) and unet_names.recognises(content)


def read(path: Path, config, params: str) -> Published:
    """The parameters; `params` makes no difference (see above)."""
    content = torch_files.read(path)
    state = {name: tensor for name, tensor in content.items() if name != ESTIMATES}
    left_out = (ESTIMATES,) if ESTIMATES in content else ()
    kind = next((kind for name, kind in KINDS.items() if re.match(name, path.name)), "unknown")
    leaves = unet_names.rename(torch_files.arrays(path, state))
    dddm = any(name.startswith("SpatialTransformer_") for name in leaves)
    return Published(leaves, {"model.prediction": "direct"} if dddm else {}, left_out, kind)


def estimates(path: Path):
    """x_bar as (images, H, W, C) float32, or None where the file has none."""
    state = torch_files.read(path)
    if ESTIMATES not in state:
        return None
    return torch_files.arrays(path, {ESTIMATES: state[ESTIMATES]})[ESTIMATES].transpose(0, 2, 3, 1)
