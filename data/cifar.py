"""CIFAR (Krizhevsky, Learning multiple layers of features from tiny images, 2009) from its Python archives.

cifar-10-python.tar.gz    cifar-10-batches-py/data_batch_1 to _5 and test_batch
cifar-100-python.tar.gz   cifar-100-python/train and test

Each is a pickled dictionary of data, uint8 (N, 3072), three planes of 32 x 32, and labels (CIFAR-100: fine_labels of
100 classes, coarse_labels of 20). Nothing in a pickle is executed: one that names anything but what arrays are made of
is refused.
"""

import codecs
import functools
import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from linnet.data.archives import Archive, Layout, PublishedSet

CIFAR10_BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
CIFAR100_BATCHES = {"train": ["train"], "test": ["test"]}

REDUCED = (np.zeros(1).__reduce__(), np.zeros(1).__reduce_ex__(5), np.int64(0).__reduce__())
CALLED: tuple[Any, ...] = (*(reduced[0] for reduced in REDUCED), np.ndarray, np.dtype)
ALLOWED = {function.__name__: function for function in CALLED}
"""What NumPy's pickles of arrays and numbers call."""


class ArraysOnly(pickle.Unpickler):
    """Reads lists, dictionaries, text, numbers and arrays. UnpicklingError for all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        if module.partition(".")[0] != "numpy" or name not in ALLOWED:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which is no part of an array")
        return ALLOWED[name]


def read_python(
    batches: dict[str, list[str]], key: str, archive: Archive, paths: list[Path], split: str
) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, 32, 32, 3), labels (N,)) uint8 and int, of the archive or of the folder that it was unpacked to.

    batches: names of the files of each split; key: of the labels.
    """
    packed = contents(paths[0], archive.unpacked[0], batches[split])
    found = [ArraysOnly(io.BytesIO(content), encoding="bytes").load() for content in packed]
    found = [{codecs.decode(k) if isinstance(k, bytes) else k: v for k, v in batch.items()} for batch in found]
    images = np.concatenate([batch["data"] for batch in found]).astype(np.uint8, casting="safe")
    labels = np.concatenate([batch[key] for batch in found])
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def contents(path: Path, folder: str, names: list[str]) -> Iterator[bytes]:
    """The bytes of each of the files, of a folder or of an archive that packs it as `folder`."""
    if path.is_dir():
        yield from ((path / name).read_bytes() for name in names)
        return
    with tarfile.open(path) as archive:
        for name in names:
            member = archive.extractfile(f"{folder}/{name}")
            if member is None:
                raise ValueError(f"{path}: {folder}/{name} is no file")
            yield member.read()


def cifar(name: str, archive: Archive, batches: dict[str, list[str]], key: str, classes: str) -> PublishedSet:
    """One archive of both splits, with the labels of `key`; classes: their names in order, between spaces."""
    read = functools.partial(read_python, batches, key, archive)
    return PublishedSet(name, (Layout({"train": (archive,), "test": (archive,)}, read),), tuple(classes.split()))


HOME = "https://www.cs.toronto.edu/~kriz"
ARCHIVE = Archive(
    "cifar-10-python.tar.gz",
    HOME,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ("cifar-10-batches-py",),
)
ARCHIVE_100 = Archive(
    "cifar-100-python.tar.gz",
    HOME,
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ("cifar-100-python",),
)

FINE = """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"""
COARSE = """aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
vehicles_2"""

CIFAR10 = cifar(
    "cifar10", ARCHIVE, CIFAR10_BATCHES, "labels", "airplane automobile bird cat deer dog frog horse ship truck"
)
CIFAR100 = cifar("cifar100", ARCHIVE_100, CIFAR100_BATCHES, "fine_labels", FINE)
CIFAR100_COARSE = cifar("cifar100_coarse", ARCHIVE_100, CIFAR100_BATCHES, "coarse_labels", COARSE)
