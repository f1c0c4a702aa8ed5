"""Zip archives that others wrote: their entries, or Refused, whatever zipfile raises (it has no type for all of it).

Entries must be uncompressed and together no larger than the file, so an archive cannot expand.
"""

import os
import zipfile
from pathlib import Path

from linnet.files.refused import Refused, first_bytes


class Archive:
    """An archive, open until it is dropped. names: of its entries. Refused where it is damaged or could expand."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # see the module's docstring
            raise self._damaged(error) from error
        entries = self._zip.infolist()
        self.names = [entry.filename for entry in entries]
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise Refused(f"{path}: compressed entries; torch.save and numpy.savez write none")
        if sum(entry.file_size for entry in entries) > os.path.getsize(path):
            raise Refused(f"{path}: entries larger than the file; it is damaged or built to exhaust memory")

    def read(self, name: str) -> bytes:
        """The bytes of one entry. Refused where they are damaged or absent."""
        try:
            return self._zip.read(name)
        except Exception as error:
            raise self._damaged(error) from error

    def _damaged(self, error):
        return Refused(f"{self.path}: damaged or cut short ({type(error).__name__}: {str(error)[:200]})")


def names(path: Path) -> list[str]:
    """Names of the entries; none where the file is no readable archive."""
    if first_bytes(path, 4) != b"PK\x03\x04":
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # see the module's docstring
        return []
