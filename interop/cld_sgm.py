"""Networks of CLD-SGM (arXiv:2112.07068) -> ours.

Theirs reads (x, v), 2 C channels, at labels t in [0, 1], and returns C channels f. Ours returns 2 C channels and
reads 999 t. Two changes make the one into the other:

    output   the last convolution gets C channels of zeros for x, before those of f
    label    the Fourier features have arguments 2 pi W log t = a - phi, with a = 2 pi W log(999 t) and
             phi = 2 pi W log 999, so the first dense layer, rotated by phi, gives on the features of a what it gave
             on those of a - phi:   K_sin' = cos(phi) K_sin + sin(phi) K_cos,   K_cos' = cos(phi) K_cos - sin(phi) K_sin

f is the velocity component of the noise that belongs to the Cholesky factor L of Sigma: score_v = -f / L_vv, and with
their mixed score (all published networks) -v / Sigma_vv - f / L_vv. That is config.model.prediction = "velocity" with
config.model.mixed_score. They add 1e-9 to the variances at t = 0.
"""

import numpy as np

from linnet.files.refused import Refused
from linnet.interop.published import Published

FIELDS = {"sde.name": "cld", "sde.eps": 1e-9, "model.prediction": "velocity", "model.mixed_score": True}
INPUT, FOURIER = "Conv_0/kernel", "GaussianFourierProjection_0/W"


def recognises(leaves: dict[str, np.ndarray]) -> bool:
    """Whether the last convolution returns half of the channels that the first one reads."""
    outputs = _outputs(leaves)
    return bool(outputs) and leaves[INPUT].shape[2] == 2 * leaves[outputs[0]].shape[3]


def convert(leaves: dict[str, np.ndarray], kind: str) -> Published:
    """The same network in our convention. Refused without Fourier features: other labels cannot be rescaled."""
    if FOURIER not in leaves or leaves.get("Dense_0/kernel", np.zeros(1)).shape[0] != 2 * leaves[FOURIER].size:
        raise Refused("a network of CLD-SGM with positional embedding of t in [0, 1]: only Fourier features are read")
    changed = {"Dense_0/kernel": _rescaled(leaves["Dense_0/kernel"], leaves[FOURIER])}
    for name in _outputs(leaves):
        bias = name.replace("kernel", "bias")
        changed |= {name: _padded(leaves[name]), bias: _padded(leaves[bias])}
    return Published(leaves | changed, FIELDS, kind=kind)


def _outputs(leaves):
    """Kernels of the convolutions that return images: the last one, and with output skips one per level."""
    kernels = sorted((n for n in leaves if n.startswith("Conv_") and n.endswith("kernel") and n != INPUT), key=_number)
    if not kernels or INPUT not in leaves:
        return []
    channels = leaves[kernels[-1]].shape[3]
    return [name for name in kernels if leaves[name].shape[3] == channels]


def _number(name):
    return int(name.split("/")[0].split("_")[1])


def _padded(array):
    return np.concatenate([np.zeros_like(array), array], axis=-1)


def _rescaled(kernel, frequencies):
    """The dense kernel (2 n, E) for labels 999 t in place of t."""
    phi = (2 * np.pi * np.log(999.0) * frequencies.astype(np.float64))[:, None]
    sine, cosine = np.split(kernel.astype(np.float64), 2)
    rotated = np.cos(phi) * sine + np.sin(phi) * cosine, np.cos(phi) * cosine - np.sin(phi) * sine
    return np.concatenate(rotated).astype(np.float32)
