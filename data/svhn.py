"""Street View House Numbers, cropped digits (Netzer et al., 2011), from its MATLAB files.

train_32x32.mat and test_32x32.mat hold X, uint8 (32, 32, 3, N), and y (N, 1) in 1..10, where 10 is the digit 0.
"""

from pathlib import Path

import numpy as np

from linnet.data.archives import Archive, Layout, PublishedSet


def read_mat(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, 32, 32, 3) uint8, labels (N,)) of one file."""
    from scipy.io import loadmat

    content = loadmat(paths[0], variable_names=("X", "y"))
    images = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
    return images.astype(np.uint8, casting="safe"), content["y"].reshape(len(images)) % 10


HOME = "http://ufldl.stanford.edu/housenumbers"
TRAIN = Archive("train_32x32.mat", HOME, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8")
TEST = Archive("test_32x32.mat", HOME, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b")

SVHN = PublishedSet("svhn", (Layout({"train": (TRAIN,), "test": (TEST,)}, read_mat),), tuple("0123456789"))
