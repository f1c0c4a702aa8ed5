"""Opening .npz files so that a damaged or foreign one is named instead of failing inside the zip reader."""

import os
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np


class Archive(Mapping):
    """Name -> array of an .npz, read when it is asked for; a context manager. ValueError names a damaged array."""

    def __init__(self, path: str | os.PathLike, arrays: np.lib.npyio.NpzFile):
        self._path = path
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            raise KeyError(name)
        try:
            return self._arrays[name]
        except Exception as error:  # whatever stops zipfile, zlib or NumPy
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ValueError(f"{self._path}: the array {name!r} cannot be read, it is damaged ({reason})") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_) -> None:
        self._arrays.close()


def open_npz(path: str | os.PathLike) -> Archive:
    """The archive at `path`, pickles refused. ValueError for a file that is none, OSError."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a readable .npz file (damaged, cut short, or of another format)")
    try:
        return Archive(path, np.load(path, allow_pickle=False))
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a readable .npz file ({error})") from error
