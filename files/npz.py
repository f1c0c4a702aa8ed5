"""Opening .npz files so that a damaged or foreign one is named instead of failing inside the zip reader."""

import os
import zipfile

import numpy as np


def open_npz(path: str | os.PathLike) -> np.lib.npyio.NpzFile:
    """The lazily read archive at `path`, a context manager, pickles refused. Raises ValueError or OSError."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a readable .npz file (damaged, cut short, or of another format)")
    return np.load(path, allow_pickle=False)
