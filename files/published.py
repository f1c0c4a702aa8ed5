"""Published weights: files of known address and SHA-256, fetched to where they are looked for, read by name."""

import hashlib
import os
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np

from linnet.files import torch_files
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz
from linnet.files.refused import Refused


class Download(NamedTuple):
    """One published file: `name` in the web folder `folder`; sha256: the digits that are known, from the first on."""

    name: str
    folder: str
    sha256: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.folder}/{self.name}"


def cache() -> Path:
    """The user's cache folder of Linnet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linnet"


def download(published: Download, target: Path, by_hand: str) -> None:
    """Fetches the file to `target`, which appears whole and verified or not at all.

    RuntimeError where the network or the checksum fails; it ends in `by_hand`, what to do instead.
    """
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(published.url, timeout=30) as response, atomic_write(target) as file:
            while chunk := response.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
            _compare(published, digest, f"; try again, or {by_hand}")
    except OSError as error:
        raise RuntimeError(f"cannot download {published.url} ({error}); {by_hand}") from error


def verify(published: Download, path: Path) -> None:
    """RuntimeError unless the file at `path` is the published one."""
    with open(path, "rb") as file:
        _compare(published, hashlib.file_digest(file, "sha256"), f"; fetch {published.url} again")


def _compare(published, digest, advice):
    found, expected = digest.hexdigest(), published.sha256
    if not found.startswith(expected):
        raise RuntimeError(
            f"{published.name} has SHA-256 {found[:16]}..., expected {expected[:16]}...: damaged, cut short or another "
            f"file{advice}"
        )


def read_tensors(path: str | os.PathLike, published: Download | None = None) -> dict[str, np.ndarray]:
    """Names -> arrays of a state dict, from .npz or from what torch.save wrote (.pth, .pt).

    published: what a .pth must be. RuntimeError for another file, ValueError for one that is damaged or no state dict.
    """
    path = Path(path)
    if path.suffix == ".npz":
        with open_npz(path) as arrays:
            return dict(arrays)
    if published is not None:
        verify(published, path)
    if not torch_files.recognises(path):
        raise Refused(f"{path}: no file of torch.save")
    tensors = torch_files.read(path)
    if not isinstance(tensors, dict):
        raise Refused(f"{path}: holds a {type(tensors).__name__}, not tensors by name")
    return torch_files.arrays(path, tensors)
