"""CIFAR-10 (Krizhevsky, Learning multiple layers of features from tiny images, 2009) from its Python archive.

cifar-10-python.tar.gz holds cifar-10-batches-py/data_batch_1 to _5 and test_batch: pickled dictionaries of data,
uint8 (10000, 3072), three planes of 32 x 32, and labels. Nothing in a pickle is executed: one that names anything but
what arrays are made of is refused.
"""

import codecs
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from linnet.data.archives import Archive, Layout, PublishedSet

FOLDER = "cifar-10-batches-py"
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}

REDUCED = (np.zeros(1).__reduce__(), np.zeros(1).__reduce_ex__(5), np.int64(0).__reduce__())
CALLED: tuple[Any, ...] = (*(reduced[0] for reduced in REDUCED), np.ndarray, np.dtype)
ALLOWED = {function.__name__: function for function in CALLED}
"""What NumPy's pickles of arrays and numbers call."""


class ArraysOnly(pickle.Unpickler):
    """Reads lists, dictionaries, text, numbers and arrays. UnpicklingError for all else."""

    def find_class(self, module, name):
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        if module.partition(".")[0] != "numpy" or name not in ALLOWED:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which is no part of an array")
        return ALLOWED[name]


def read_python(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, 32, 32, 3), labels (N,)) uint8 and int, of the archive or of the folder that it was unpacked to."""
    batches = [ArraysOnly(io.BytesIO(content), encoding="bytes").load() for content in contents(paths[0], split)]
    batches = [{codecs.decode(k) if isinstance(k, bytes) else k: v for k, v in batch.items()} for batch in batches]
    images = np.concatenate([batch["data"] for batch in batches]).astype(np.uint8, casting="safe")
    labels = np.concatenate([batch["labels"] for batch in batches])
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def contents(path: Path, split: str):
    """The bytes of each batch of a split."""
    if path.is_dir():
        yield from ((path / name).read_bytes() for name in BATCHES[split])
        return
    with tarfile.open(path) as archive:
        for name in BATCHES[split]:
            member = archive.extractfile(f"{FOLDER}/{name}")
            if member is None:
                raise ValueError(f"{path}: {FOLDER}/{name} is no file")
            yield member.read()


ARCHIVE = Archive(
    "cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    (FOLDER,),
)

CIFAR10 = PublishedSet(
    "cifar10",
    (Layout({"train": (ARCHIVE,), "test": (ARCHIVE,)}, read_python),),
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
