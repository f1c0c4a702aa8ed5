"""Data sets by name. A new one is a file with a function (config.data, split) -> Source and a line below."""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from linnet import registry
from linnet.data.archives import Archive, missing, published_source
from linnet.data.cifar import CIFAR10, CIFAR100, CIFAR100_COARSE
from linnet.data.digits import digits_source
from linnet.data.folder import folder_source
from linnet.data.latents import latents_source
from linnet.data.listed import listed_source
from linnet.data.medmnist import MEDMNIST, medmnist_source
from linnet.data.mnist import FASHION_MNIST, MNIST
from linnet.data.picture_sets import PICTURE_SETS
from linnet.data.points import points_source
from linnet.data.source import Source
from linnet.data.splits import WORDS, NoSplit
from linnet.data.svhn import SVHN
from linnet.data.tfds import tfds_source

PUBLISHED = {
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "cifar100_coarse": CIFAR100_COARSE,
    "mnist": MNIST,
    "fashion_mnist": FASHION_MNIST,
    "svhn": SVHN,
    "svhn_cropped": SVHN,
}
"""Data sets that are read from the files of their authors."""

DATASETS = {
    "digits": digits_source,
    "points": points_source,
    "folder": folder_source,
    "tfds": tfds_source,
}
DATASETS |= {name: functools.partial(published_source, published) for name, published in PUBLISHED.items()}
DATASETS |= {published.name: functools.partial(listed_source, published) for published in PICTURE_SETS}
DATASETS |= {name: functools.partial(medmnist_source, published) for name, published in MEDMNIST.items()}


def get_dataset(config: ConfigDict, split: str = "train") -> Source:
    """The data set that `config.data` describes.

    config.data: `dataset`, an entry of DATASETS or any TFDS name ("cifar10", "lsun/bedroom"; "tfds/cifar10"
    says so explicitly); `path`; `image_size` (int or (H, W)), `num_channels` and `crop`, each 0 for as the
    data; `points` and `num_points` for points. split: "train", "val" or "test", for which "val" stands in where there
    is none. Raises one-line errors for unknown names and missing data, NoSplit for a split that is not there.
    """
    registry.check(WORDS, split, "split")
    known = DATASETS.get(config.data.dataset.lower())
    return known(config.data, split) if known else tfds_source(config.data, split, others=DATASETS)


def missing_files(config: ConfigDict, split: str = "train") -> list[tuple[Archive, Path]]:
    """(file, where it belongs) for all that must be fetched before `get_dataset` can read the split."""
    published = PUBLISHED.get(config.data.dataset.lower())
    return missing(published, config.data, split) if published else []


def get_latents(config: ConfigDict, split: str = "train") -> Source:
    """The latents of `config.data.latents`, ready for a process. Errors as `latents_source`."""
    registry.check(WORDS, split, "split")
    return latents_source(Path(config.data.latents), split)


__all__ = [
    "DATASETS",
    "PICTURE_SETS",
    "PUBLISHED",
    "WORDS",
    "NoSplit",
    "Source",
    "get_dataset",
    "get_latents",
    "missing_files",
]
