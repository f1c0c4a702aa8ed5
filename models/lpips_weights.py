"""Where the weights of LPIPS come from, and how they become the parameters of `models.lpips`.

Two published files a network: torchvision's ImageNet classifier (`features.0.weight` (O, I, k, k), `features.0.bias`,
...) and the linear heads of the lpips package, version 0.1 (`lin0.model.1.weight` (1, C, 1, 1), ...). They lie in one
folder under their published names. A .pth is used only if it has the published SHA-256; an .npz of the same stem,
holding the same tensors under the same names, takes its place.
"""

import os
from pathlib import Path

import numpy as np

from linnet.files.published import Download, cache, download, read_tensors
from linnet.models.lpips import stages

ENVIRONMENT_VARIABLE = "LINNET_LPIPS"
CLASSIFIERS = "https://download.pytorch.org/models"
HEADS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/v0.1.4/lpips/weights/v0.1"

# Heads first: they are small, so a missing network shows before the large file is fetched.
FILES: dict[str, tuple[Download, Download]] = {
    "vgg": (
        Download("vgg.pth", HEADS, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
        Download("vgg16-397923af.pth", CLASSIFIERS, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    ),
    "alex": (
        Download("alex.pth", HEADS, "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        Download(
            "alexnet-owt-7be5be79.pth", CLASSIFIERS, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
        ),
    ),
}


def load_params(net: str = "vgg", path: str | os.PathLike | None = None) -> dict:
    """Parameters of `lpips.lpips` as float32 NumPy arrays.

    `path` is the folder of the files, else $LINNET_LPIPS, else the user's cache, to which absent files are downloaded.
    Raises FileNotFoundError or RuntimeError where a file cannot be had or has another checksum, and ValueError for
    a damaged file and for tensors that do not fit.
    """
    stages(net)  # refuses an unknown name
    state: dict[str, np.ndarray] = {}
    for published in FILES[net]:
        state |= _read(_find(published, net, path), published)
    return parameters(state, net)


def parameters(state: dict[str, np.ndarray], net: str = "vgg") -> dict:
    """Published names -> parameters of `lpips.lpips`. ValueError names the first absent or unfit tensor."""
    index = 0
    width = 3
    params: dict[str, list] = {"stages": [], "heads": []}
    for number, stage in enumerate(stages(net)):
        index += stage.pool > 0
        layers = []
        for _ in range(stage.convolutions):
            kernel = _tensor(state, f"features.{index}.weight", net, (None, width, stage.kernel, stage.kernel))
            width = kernel.shape[0]
            bias = _tensor(state, f"features.{index}.bias", net, (width,))
            layers.append({"kernel": kernel.transpose(2, 3, 1, 0), "bias": bias})
            index += 2  # past the ReLU
        params["stages"].append(layers)
        params["heads"].append(_tensor(state, f"lin{number}.model.1.weight", net, (1, width, 1, 1)).reshape(width))
    return params


def _tensor(state: dict[str, np.ndarray], name: str, net: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """state[name] as float32, of the given shape (None: any size)."""
    files = " and ".join(published.name for published in FILES[net])
    if name not in state:
        raise ValueError(f"LPIPS {net}: the weights lack {name}; expected the tensors of {files}")
    have = state[name].shape
    if len(have) != len(shape) or any(want not in (None, size) for want, size in zip(shape, have, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"LPIPS {net}: {name} has shape {have} where ({wanted}) is expected; use the tensors of {files}"
        )
    return np.asarray(state[name], np.float32)


def _find(published: Download, net: str, path: str | os.PathLike | None) -> Path:
    """The file in its folder, the .npz before the .pth."""
    chosen = path or os.environ.get(ENVIRONMENT_VARIABLE)
    folder = Path(chosen or cache() / "lpips")
    target = folder / published.name
    for candidate in (target.with_suffix(".npz"), target):
        if candidate.is_file():
            return candidate
    needed = " and ".join(file.name for file in FILES[net])
    if chosen:
        origin = "the given path" if path else f"${ENVIRONMENT_VARIABLE}"
        raise FileNotFoundError(
            f"LPIPS {net}: no {published.name} (or .npz) in folder {folder} ({origin}), which must hold {needed}; "
            f"it is published at {published.url}"
        )
    by_hand = f"place {needed} (or .npz of them) in {folder}, or set {ENVIRONMENT_VARIABLE} to the folder of the files"
    download(published, target, by_hand)
    return target


def _read(path: Path, published: Download) -> dict[str, np.ndarray]:
    """Names -> arrays, without the classifier's last layers."""
    tensors = read_tensors(path, published)
    return {name: array for name, array in tensors.items() if not name.startswith("classifier.")}
