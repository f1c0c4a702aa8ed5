"""Networks of EDM (arXiv:2206.00364), exported by name to .npz or .safetensors (see docs/checkpoints.md) -> ours.

All that are published under EDM's own preconditioning can be read: DDPM++ ("-vp"), NCSN++ ("-ve") and ADM, with and
without classes; `edm_names` says how their conventions differ. The published files hold averages only.
"""

from pathlib import Path

from ml_collections import ConfigDict

from linnet.files.refused import Refused
from linnet.interop import edm_names, state_dicts
from linnet.interop.published import Loaded

EDM = {"sde.name": "ve", "data.centered": True, "model.prediction": "edm", "model.sigma_data": 0.5}
SONG = {"model.name": "ncsnpp", "model.skip_rescale": True, "model.scale_by_sigma": False}
ADM = {
    "model.name": "unet",
    "model.use_scale_shift_norm": True,
    "model.resblock_updown": True,
    "model.num_head_channels": edm_names.CHANNELS_PER_HEAD,
    "model.use_new_attention_order": False,
    "model.log_label": True,
}
"""Keys of the config that the shapes do not show."""


def recognises(path: Path) -> bool:
    """Whether the file is such an export."""
    return state_dicts.recognises(path, edm_names.ANCHOR)


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The parameters; `params` makes a difference where the file holds raw ones and averages."""
    found = state_dicts.find(path, state_dicts.read(path), edm_names.ANCHOR, params)
    if found is None:
        raise Refused(f"{path}: holds no exported network of EDM")
    state = {name.removeprefix("model."): array for name, array in state_dicts.arrays(path, found.tensors).items()}
    odd = [name for name, array in state.items() if array.ndim == 0 or array.dtype.kind != "f"]
    if odd:
        raise Refused(f"{path}: {odd[0]} is no array of floating-point numbers")
    fields = EDM | (ADM if edm_names.is_adm(state) else _song(state)) | {"model.num_classes": edm_names.classes(state)}
    left_out = (*found.others, *(name for name in state if name.startswith(edm_names.AUGMENTATION)))
    return Loaded(edm_names.rename(state), fields, left_out, kind="ema" if found.kind == "unknown" else found.kind)


def _song(state):
    """SONG, and the keys of DDPM++ or NCSN++."""
    filters = [array.shape[-1] for name, array in state.items() if name.endswith("resample_filter")]
    return SONG | {"model.fir": max(filters, default=2) > 2, "model.log_label": edm_names.FOURIER not in state}
