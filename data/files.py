"""The files below a directory or inside a zip, under one pair of verbs: `names` and `read`.

Names are relative, with forward slashes, and sorted, so a directory and the zip made from it are the same
data set. Hidden files and the `__MACOSX` folder of zips made on a Mac are passed over.
"""

import os
import zipfile
import zlib
from functools import cached_property
from pathlib import Path

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")


def visible(name: str) -> bool:
    """False for a path with a hidden part or below `__MACOSX`, and for the folders of a zip."""
    return not name.endswith("/") and not any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))


class DirectoryFiles:
    """All files below a directory, links followed."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def names(self) -> list[str]:
        found = (
            Path(folder, file).relative_to(self.path).as_posix()
            for folder, _, files in os.walk(self.path, followlinks=True)
            for file in files
        )
        return sorted(filter(visible, found))

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def checksum(self, name: str) -> int:
        """CRC-32 of the file: what a zip would note."""
        return zlib.crc32(self.read(name))

    def __getstate__(self) -> dict:
        return {"path": self.path}


class ZipFiles:
    """All files in a zip; the handle is opened when it is first needed, in each process for itself."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)

    @cached_property
    def names(self) -> list[str]:
        return sorted(filter(visible, self._zip.namelist()))

    def read(self, name: str) -> bytes:
        return self._zip.read(name)

    def checksum(self, name: str) -> int:
        """CRC-32 of the file, as the zip notes it."""
        return self._zip.getinfo(name).CRC

    def __getstate__(self) -> dict:
        return {"path": self.path}


def open_files(path: Path) -> DirectoryFiles | ZipFiles:
    """The files at `path`. FileNotFoundError if nothing is there, ValueError if it is neither folder nor zip."""
    if path.is_dir():
        return DirectoryFiles(path)
    if not path.exists():
        raise FileNotFoundError(f"data.path={str(path)!r} does not exist; give a directory of images or a .zip")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"data.path={str(path)!r} is neither a directory nor a readable .zip")
    return ZipFiles(path)


def list_images(path: Path) -> tuple[DirectoryFiles | ZipFiles, list[str]]:
    """The files at `path` and the names of the images among them. ValueError where there are none."""
    files = open_files(path)
    names = [name for name in files.names if name.lower().endswith(EXTENSIONS)]
    if not names:
        looked = ", ".join(EXTENSIONS)
        raise ValueError(f"data.path={str(path)!r} has no images: looked for {looked} in all sub-folders")
    return files, names
