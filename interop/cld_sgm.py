"""Networks of CLD-SGM (arXiv:2112.07068) -> ours.

Theirs reads (x, v), 2 C channels, and returns C channels f. Ours returns 2 C channels: the last convolution gets C
channels of zeros for x, before those of f. Both kinds of embedding, Fourier (CIFAR-10) and positional (CelebA-HQ), are
of the label t in [0, 1] itself, which is what config.model.prediction = "velocity" tells a network.

f is the velocity component of the noise that belongs to the Cholesky factor L of Sigma: score_v = -f / L_vv, and with
their mixed score (all published networks) -v / Sigma_vv - f / L_vv. That is config.model.prediction = "velocity" with
config.model.mixed_score. What their numerical_eps adds to the variances at t = 0 is config.sde.eps; no file says it.
"""

import numpy as np

from linnet.interop import known
from linnet.interop.published import Loaded

FIELDS = {"sde.name": "cld", "model.prediction": "velocity", "model.mixed_score": True}
CONSTANT = {"sde.beta_0": 4.0, "sde.beta_1": 0.0}
CELEBA = "configs/cld/celebahq_cld_sgm.py"
PROCESSES = {
    "configs/cld/cifar10_cld_sgm.py": CONSTANT | {"sde.eps": 1e-9},
    CELEBA: CONSTANT | {"sde.eps": 1e-6},
    f"{CELEBA} {known.CLD_SGM_LATER}": {"sde.beta_0": 0.1, "sde.beta_1": 6.9, "sde.eps": 1e-6},
}
"""Config of a published network, told by its shapes -> the process that it was trained with."""

INPUT = "Conv_0/kernel"


def recognises(leaves: dict[str, np.ndarray]) -> bool:
    """Whether the last convolution returns half of the channels that the first one reads."""
    outputs = _outputs(leaves)
    return bool(outputs) and leaves[INPUT].shape[2] == 2 * leaves[outputs[0]].shape[3]


def convert(leaves: dict[str, np.ndarray], kind: str) -> Loaded:
    """The same network with 2 C outputs. kind: what the leaves are."""
    leaves = dict(leaves)
    for name in _outputs(leaves):
        leaves |= {key: _padded(leaves[key]) for key in (name, name.replace("kernel", "bias")) if key in leaves}
    published = known.suggestion({name: leaf.shape for name, leaf in leaves.items()}, FIELDS)
    return Loaded(leaves, FIELDS | PROCESSES.get(published, {}), kind=kind)


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
