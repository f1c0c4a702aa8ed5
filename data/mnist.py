"""MNIST (LeCun, Cortes, Burges) and Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv:1708.07747) from their files.

idx   four gzipped files: two zero bytes, the type (8: unsigned byte), the number of axes, the lengths of the axes as
      big-endian 32-bit numbers, then the bytes in row-major order
npz   MNIST as Keras publishes it: one file with x_train, y_train, x_test and y_test
"""

import gzip
from pathlib import Path

import numpy as np

from linnet.data.archives import Archive, Layout, PublishedSet

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, 28, 28), labels (N,)) uint8, of the files of images and of labels."""
    images, labels = map(idx_array, paths)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images are {images.shape} and labels {labels.shape}")
    return images, labels


def idx_array(path: Path) -> np.ndarray:
    """The array of one file, gzipped or not. ValueError where it is not as its head says."""
    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    axes = content[3] if content[:3] == bytes([0, 0, UNSIGNED_BYTE]) else 0
    begin = 4 + 4 * axes
    shape = tuple(np.frombuffer(content[4:begin], ">u4").tolist())
    if not axes or len(content) != begin + np.prod(shape, dtype=int):
        raise ValueError(f"{path.name} is no idx file of bytes, or is cut short")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def read_npz(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, 28, 28), labels (N,)) uint8 of one file."""
    with np.load(paths[0], allow_pickle=False) as arrays:
        return arrays[f"x_{split}"], arrays[f"y_{split}"]


def idx_layout(folder: str, train: tuple[str, str], test: tuple[str, str]) -> Layout:
    """The four files below a web folder; train, test: SHA-256 of the images and of the labels."""
    files = {
        split: tuple(
            Archive(f"{prefix}-{kind}-ubyte.gz", folder, digest, unpacked(f"{prefix}-{kind}-ubyte"))
            for kind, digest in zip(("images-idx3", "labels-idx1"), digests, strict=True)
        )
        for split, prefix, digests in (("train", "train", train), ("test", "t10k", test))
    }
    return Layout(files, read_idx)


def unpacked(name: str) -> tuple[str, str]:
    """The names of an unpacked file: as in its archive, and with the dot that some archives and Kaggle have."""
    return name, name.replace("-idx", ".idx")


MNIST_NPZ = Archive(
    "mnist.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)

MNIST = PublishedSet(
    "mnist",
    (
        idx_layout(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        Layout({"train": (MNIST_NPZ,), "test": (MNIST_NPZ,)}, read_npz),
    ),
    tuple("0123456789"),
    ("MNIST/raw",),
)

FASHION_MNIST = PublishedSet(
    "fashion_mnist",
    (
        idx_layout(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ("FashionMNIST/raw",),
)
