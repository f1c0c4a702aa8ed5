"""Where the weights of the FID Inception come from, and how they become Flax parameters.

The weights are the PyTorch port of TensorFlow's inception-2015-12-05 graph that pytorch-fid publishes (and
torch-fidelity, with the same tensors): `Conv2d_1a_3x3.conv.weight`,
`.bn.weight/.bias/.running_mean/.running_var`, ..., `fc.weight`. The file name ends in the first digits of its SHA-256.

A convolution followed by batch normalisation (epsilon 1e-3) is one convolution: with
s = weight / sqrt(running_var + 1e-3), kernel = conv.weight * s and bias = bn.bias - running_mean * s,
computed in float64 and stored in float32.
"""

import os
from pathlib import Path

import numpy as np

from linnet.files.published import Download, cache, download, read_tensors, verify

FILE = Download(
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights",
    "6726825d",
)
ENVIRONMENT_VARIABLE = "LINNET_INCEPTION"
BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def find_weights(path: str | os.PathLike | None = None) -> Path:
    """The weights file: `path`, else $LINNET_INCEPTION, else the user's cache, downloaded if absent."""
    chosen = path or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        if not Path(chosen).is_file():
            origin = "the given path" if path else f"${ENVIRONMENT_VARIABLE}"
            raise FileNotFoundError(f"no Inception weights at {chosen} ({origin})")
        if Path(chosen).suffix != ".npz":
            verify(FILE, Path(chosen))
        return Path(chosen)
    cached = cache() / FILE.name
    if not cached.is_file():
        download(FILE, cached, f"place the file at {cached}, or set {ENVIRONMENT_VARIABLE} to where it is")
    return cached


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Published names -> float32 arrays, from .npz or from what torch.save wrote."""
    return {
        key: np.asarray(value, np.float32)
        for key, value in read_tensors(path).items()
        if not key.endswith("num_batches_tracked")
    }


def fold(state: dict[str, np.ndarray]) -> dict:
    """Published state dict -> Flax parameters {module: {branch: {kernel (HWIO), bias}}}, float32.

    Raises ValueError naming an absent tensor. `fc.bias` is dropped: FID's Inception score uses no bias.
    """
    suffix = ".conv.weight"
    params: dict = {}
    try:
        for key in state:
            if key.endswith(suffix):
                _insert(params, key[: -len(suffix)], _folded_convolution(state, key[: -len(suffix)]))
        params["fc"] = {"kernel": state["fc.weight"].T}
    except KeyError as error:
        raise ValueError(f"Inception weights lack {error}; expected the tensors of {FILE.name}") from error
    return params


def _folded_convolution(state: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    weight, bias, mean, variance = (state[f"{name}.bn.{t}"].astype(np.float64) for t in BATCH_NORM_TENSORS)
    scale = weight / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = state[f"{name}.conv.weight"].astype(np.float64).transpose(2, 3, 1, 0) * scale
    return {"kernel": kernel.astype(np.float32), "bias": (bias - mean * scale).astype(np.float32)}


def _insert(tree: dict, dotted_name: str, value: dict) -> None:
    *parents, leaf = dotted_name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value
