"""MedMNIST v2 (Yang et al., arXiv:2110.14795): images of 28 x 28 pixels and more in one .npz for each data set.

NAME.npz, and NAME_64.npz, NAME_128.npz and NAME_224.npz of larger images, hold train_images, val_images and
test_images, uint8 (N, H, W), with train_labels ... (N, 1), or for ChestMNIST (N, 14) in 0 and 1: which findings an
image has.

One image of ChestMNIST has any number of findings, and a network is told one class: the classes are "no finding", each
finding where it is the only one, and "several findings". So every image has exactly one class, and none is made up.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from linnet import registry
from linnet.data.arrays import as_source, read_arrays, whole_numbers
from linnet.data.image_rule import IMAGES
from linnet.data.source import ArraySource

HOME = "https://zenodo.org/records/10519652"
PACKAGE_FOLDER = ".medmnist"
"""Where MedMNIST's Python package keeps its files, below the home folder."""


class MedSet(NamedTuple):
    """names of the classes, or of the findings that an image may have several of."""

    name: str
    classes: tuple[str, ...]
    several: bool = False


MEDMNIST = {
    found.name: found
    for found in (
        MedSet(
            "chestmnist",
            (
                *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"),
                *("pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
            ),
            several=True,
        ),
        MedSet("octmnist", ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")),
        MedSet("pneumoniamnist", ("normal", "pneumonia")),
        MedSet(
            "tissuemnist",
            (
                *("collecting duct, connecting tubule", "distal convoluted tubule", "glomerular endothelial cells"),
                *("interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments"),
                "thick ascending limb",
            ),
        ),
    )
}


@registry.takes("path", *IMAGES)
def medmnist_source(published: MedSet, settings: ConfigDict, split: str) -> ArraySource:
    """From the .npz of MedMNIST. NoSplit; FileNotFoundError without it, ValueError for another content."""
    path = find(published, settings)
    images, labels = read_arrays(path, split)
    if labels is None:
        raise ValueError(f"{path}: not as {published.name} is published: it has no labels")
    classes = published.classes
    if published.several:
        labels = one_class(labels, len(classes), path)
        classes = ("no finding", *classes, "several findings")
    labels = whole_numbers(labels, path)
    if labels.max() >= len(classes):
        raise ValueError(f"{path}: not as {published.name} is published: class {labels.max()} of {len(classes)}")
    return as_source(published.name, split, images, labels, classes, settings)


def find(published: MedSet, settings: ConfigDict) -> Path:
    """The .npz: data.path itself or in it; without a path in the folder of MedMNIST's package. FileNotFoundError."""
    root = Path(settings.path).expanduser() if settings.get("path", "") else Path.home() / PACKAGE_FOLDER
    size = np.atleast_1d(settings.get("image_size", 0) or 0).max()
    larger = [f"{published.name}_{side}.npz" for side in (64, 128, 224) if side == size]
    places = [root, *(root / name for name in (*larger, f"{published.name}.npz"))]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"no {published.name}.npz in {root}: fetch it from {HOME}, and name it or its folder by data.path"
        )
    return path


def one_class(findings: np.ndarray, n: int, path: Path) -> np.ndarray:
    """(N, n) of 0 and 1 -> (N,): 0 for none, 1 + k for finding k alone, n + 1 for several. ValueError for others."""
    if findings.ndim != 2 or findings.shape[1] != n or not np.isin(findings, (0, 1)).all():
        raise ValueError(f"{path}: labels are {findings.shape}; expected {n} columns of 0 and 1")
    count = findings.sum(1, dtype=int)
    return np.where(count > 1, n + 1, np.where(count == 1, 1 + findings.argmax(1), 0))
