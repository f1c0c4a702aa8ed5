"""Networks of EDM (arXiv:2206.00364), exported by name to .npz or .safetensors (see docs/checkpoints.md) -> ours.

Read are the unconditional NCSN++ networks (SongUNet with Fourier features, the published "-ve" files). Layers carry
their resolution and role; in the order of calls:

    enc.<r>x<r>_conv | _down  _aux_residual  _block<i>...     high to low r         Conv | block, Downsample, blocks
    dec.<r>x<r>_in0  _in1 | _up  _block<i>...                 low to high r         blocks
    dec.<r>x<r>_aux_norm  _aux_conv                                                 GroupNorm, Conv

    block: norm0 conv0 affine norm1 conv1 skip, and norm2 qkv proj where it ends in attention (a layer of its own here;
    output 3 c + j of qkv is channel c of query, key, value j)

EDM's F has D = c_skip x + c_out F(c_in x, log(sigma)/4); with config.model.prediction = "edm" ours is eps = ... + M f
told sigma, and D = x - sigma eps. So f = -F: the last convolution changes sign; and the frequencies, which multiply
log(sigma) here, are divided by 4. Augmentation labels are zero in sampling, so their layer is left out.
"""

import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from interop import safetensors
from interop.published import Published, Refused, first_bytes

FOURIER = "map_noise.freqs"
LAYER = re.compile(r"(enc|dec)\.(\d+)x\d+_([a-z_]+)(\d*)\.(.+)")
ROLES = ("conv", "in", "down", "up", "aux_residual", "block", "aux_norm", "aux_conv")
CLASSES = {"conv": "Conv", "aux_residual": "Downsample", "aux_norm": "GroupNorm", "aux_conv": "Conv"}
BLOCK = {
    "norm0": "GroupNorm_0",
    "conv0": "Conv_0",
    "affine": "Dense_0",
    "norm1": "GroupNorm_1",
    "conv1": "Conv_1",
    "skip": "Conv_2",
}
OUTSIDE = {"map_layer0": "Dense_0", "map_layer1": "Dense_1"}


def recognises(path: Path) -> bool:
    """Whether the file is such an export."""
    return any(re.match(r"(model\.)?(enc|dec)\.\d+x\d+_", name) for name in _names(path))


def _names(path):
    try:
        if safetensors.recognises(path):
            return safetensors.read(path)[0]
        if first_bytes(path, 4) == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                return [name for name in archive.namelist() if name.endswith(".npy")]
    except (Refused, zipfile.BadZipFile):
        pass
    return []


def read(path: Path, config, params: str) -> Published:
    """The parameters; EDM's published files hold averages only."""
    state = {name.removeprefix("model."): array for name, array in _state(path).items()}
    if any(name.startswith("map_label.") for name in state):
        raise Refused(f"{path}: a class-conditional network of EDM; only unconditional ones can be read")
    if FOURIER not in state:
        raise Refused(
            f"{path}: a network of EDM with positional embedding of log(sigma)/4; only those with Fourier features "
            "(the -ve files) can be read"
        )
    filters = [array.shape[-1] for name, array in state.items() if name.endswith("resample_filter")]
    fields = {"sde.name": "ve", "model.prediction": "edm", "model.skip_rescale": True, "model.scale_by_sigma": False}
    return Published(rename(state), fields | {"model.fir": max(filters, default=2) > 2})


def _state(path):
    """Arrays by name. Refused where a stored array is larger than the file, or is none."""
    if safetensors.recognises(path):
        return safetensors.read(path)[0]
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise Refused(f"{path}: compressed, or built to exhaust memory; write it with numpy.savez")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Refused:
        raise
    except (ValueError, zipfile.BadZipFile, OSError, EOFError, MemoryError) as error:
        raise Refused(f"{path}: damaged, or not only arrays ({str(error)[:200]})") from error


def rename(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays under our names and in our layout. Names that cannot be placed are kept."""
    leaves = {"GaussianFourierProjection_0/W": state[FOURIER] / 4}
    layers, counts = {}, Counter()
    for name in sorted(state, key=_order):
        found = LAYER.fullmatch(name)
        part, _, leaf = (found[5] if found else name).rpartition(".")
        if name == FOURIER or name.startswith("map_augment.") or leaf == "resample_filter":
            continue
        if part in OUTSIDE:
            leaves |= _leaf(OUTSIDE[part], leaf, state[name])
        elif found:
            kind = CLASSES.get(found[3], "ResnetBlockBigGANpp")
            kind = "AttnBlockpp" if part in ("norm2", "qkv", "proj") else kind
            layer = layers.setdefault((name.removesuffix(found[5]), kind), f"{kind}_{counts[kind]}")
            counts[kind] += layer == f"{kind}_{counts[kind]}"
            leaves |= _inside(layer, part, leaf, -state[name] if found[3] == "aux_conv" else state[name])
        else:
            leaves[name] = state[name]
    return leaves


def _order(name):
    """Key that sorts names in the order of calls."""
    found = LAYER.fullmatch(name)
    if not found or found[3] not in ROLES:
        return (0, 0, 0, 0)
    resolution = int(found[2])
    side = (1, -resolution) if found[1] == "enc" else (2, resolution)
    return (*side, ROLES.index(found[3]), int(found[4] or 0))


def _inside(layer, part, leaf, array):
    """{our name: array} of one array of a layer."""
    if part == "qkv":
        thirds = np.moveaxis(array.reshape(-1, 3, *array.shape[1:]), 1, 0)
        pairs = [_inside(layer, f"NIN_{j}", leaf, third) for j, third in enumerate(thirds)]
        return pairs[0] | pairs[1] | pairs[2]
    part = {"norm2": "GroupNorm_0", "proj": "NIN_3"}.get(part, BLOCK.get(part, part))
    if part.startswith("NIN"):
        return {f"{layer}/{part}/{'W' if leaf == 'weight' else 'b'}": array.reshape(array.shape[:2]).T}
    if layer.startswith("Downsample"):
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        return {f"{layer}/Conv2d_0/{leaf}": array}
    return _leaf(f"{layer}/{part}" if part else layer, leaf, array)


def _leaf(path, leaf, array):
    if leaf == "weight":
        leaf = "scale" if array.ndim == 1 else "kernel"
        array = {2: lambda a: a.T, 4: lambda a: a.transpose(2, 3, 1, 0)}.get(array.ndim, np.asarray)(array)
    return {f"{path}/{leaf}": array}
