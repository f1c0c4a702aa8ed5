"""Files of torch.save before version 1.6, without torch: pickles one after the other, then the storages.

    magic number    protocol    {little_endian, ...}    the object    [key, ...]    for each key: int64 n, n numbers

The pickles are read as `torch_objects` says. Weights that were published before 2020 are such files.
"""

import os
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from linnet.files.refused import Refused, first_bytes
from linnet.files.torch_objects import DTYPES, Unpickler, check_memo, check_size, damage_named

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number that opens such a file


class Chain:
    """The file as a container: `path`, and the bytes of the storages by their keys."""

    def __init__(self, path: Path):
        self.path = path
        self.places: dict[str, tuple[int, int]] = {}

    def read(self, key: str) -> bytes:
        """The bytes of one storage. Refused where the file does not list it."""
        if key not in self.places:
            raise Refused(f"{self.path}: damaged: storage {key} is not in it")
        begin, size = self.places[key]
        with open(self.path, "rb") as file:
            file.seek(begin)
            return file.read(size)


def recognises(path: Path) -> bool:
    """Whether torch.save wrote the file in this format."""
    return first_bytes(path, len(MAGIC)) == MAGIC


def read(path: Path) -> Any:
    """The object in the file, as `torch_zip.read` gives it. Refused for anything else."""
    chain = Chain(path)
    with open(path, "rb") as file, damage_named(path):
        _, _, system, described, keys = (Unpickler(_pickle(path, file), chain) for _ in range(5))
        if not system.load().get("little_endian"):
            raise Refused("numbers in big-endian order")
        content = described.load()
        begin = file.tell()
        for key in keys.load():
            storage = described.storages[key]
            file.seek(begin)
            n = int.from_bytes(file.read(8), "little")
            size = n * np.dtype(DTYPES[storage.kind]).itemsize
            begin += 8
            if n != storage.n or begin + size > os.path.getsize(path):
                raise Refused(f"{n} numbers where storage {key} has {storage.n}; the file is damaged or cut short")
            chain.places[key] = begin, size
            begin += size
    return content


def _pickle(path, file):
    """The bytes of the next pickle."""
    begin = file.tell()
    for _ in pickletools.genops(file):
        pass
    size = file.tell() - begin
    check_size(path, size)
    file.seek(begin)
    data = file.read(size)
    check_memo(data)
    return data
