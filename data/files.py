"""The files below a directory or inside a zip, under one pair of verbs, `images` and `read`, and what is passed over.

Names are relative, with forward slashes, and sorted, so a directory and the zip made from it are the same data set.
Each file is there once: a link to a folder that is read anyway is not followed, entries of a zip that repeat another
count once, and of entries with the same name and other content the later ones are numbered ("a (2).png"). Hidden files
(.DS_Store, ._a.png, all below .ipynb_checkpoints) and the `__MACOSX` folder of zips made on a Mac are passed over.
"""

import abc
import contextlib
import itertools
import os
import posixpath
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Container, Iterator
from functools import cached_property
from pathlib import Path

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".tga", ".pbm", ".pgm", ".pnm", ".ppm"),
)
LISTING = "dataset.json"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""Compressions that are read. Windows makes large zips by another, Deflate64."""

ENCRYPTED, UTF_8 = 0x1, 0x800
"""Bits of the flags of an entry of a zip (APPNOTE 4.4.4)."""


class Files(abc.ABC):
    """The files at `path`. It pickles without what was found there."""

    def __init__(self, path: Path):
        self.path = path

    @abc.abstractmethod
    def find(self) -> Iterator[tuple[str, str]]:
        """Each file as (name, reason): the reason why it holds no image whatever its name says, "" if it may hold one.

        OSError for a folder that cannot be listed, ValueError for a zip that cannot be read.
        """

    @abc.abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is a file of that name, of any kind."""

    @abc.abstractmethod
    def bytes_of(self, name: str) -> bytes:
        """The bytes of a file, with the errors of whatever reads them."""

    def read(self, name: str) -> bytes:
        """The bytes of a file. ValueError naming one that cannot be read."""
        try:
            return self.bytes_of(name)
        except Exception as error:
            raise ValueError(f"cannot read {name!r} in {str(self.path)!r}: {error}; replace or remove it") from error

    @abc.abstractmethod
    def checksum(self, name: str) -> int:
        """CRC-32 of a file."""

    @cached_property
    def _found(self) -> tuple[list[str], list[str], Counter]:
        images = []
        listings = []
        skipped: Counter[str] = Counter()
        for name, reason in self.find():
            extension = posixpath.splitext(name)[1].lower()
            if not visible(name):
                skipped["hidden"] += 1
            elif posixpath.basename(name) == LISTING:
                listings.append(name)
            elif reason or extension not in EXTENSIONS:
                skipped[reason or extension or "without an extension"] += 1
            else:
                images.append(name)
        return sorted(images), listings, skipped

    @property
    def images(self) -> list[str]:
        """The names of the images."""
        return self._found[0]

    @cached_property
    def names(self) -> list[str]:
        """The names of the images and of the listings of their labels, dataset.json."""
        return sorted(self._found[0] + self._found[1])

    @property
    def skipped(self) -> str:
        """How many files are passed over and why, in words; "" for none."""
        reasons = self._found[2]
        parts = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        return f"{reasons.total()} of {reasons.total() + len(self.names)} files skipped: {parts}" if reasons else ""

    def __getstate__(self) -> dict:
        return {"path": self.path}


def visible(name: str) -> bool:
    """False for a path with a hidden part or below `__MACOSX`."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class DirectoryFiles(Files):
    """All files below a directory, links followed. What was read once need not be read for its checksum."""

    @cached_property
    def _checksums(self) -> dict[str, int]:
        return {}

    def find(self) -> Iterator[tuple[str, str]]:
        """Folders come before links to folders, so that what both lead to has the name that it has without links."""
        seen = {str(above) for above in self.path.resolve().parents}
        starts = [self.path]
        for start in starts:
            for folder, below, files in os.walk(start, onerror=refuse):
                inside = Path(folder).relative_to(self.path)
                if all(map(visible, inside.parts)):
                    real = os.path.realpath(folder)
                    if real in seen:
                        below.clear()
                        yield inside.as_posix(), "links to folders that are read already"
                        continue
                    seen.add(real)
                    starts += [link for link in (Path(folder, other) for other in sorted(below)) if link.is_symlink()]
                for file in files:
                    yield posixpath.join(*inside.parts, file), unfit(os.path.join(folder, file))

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def bytes_of(self, name: str) -> bytes:
        content = (self.path / name).read_bytes()
        self._checksums[name] = zlib.crc32(content)
        return content

    def checksum(self, name: str) -> int:
        if name not in self._checksums:
            self.read(name)
        return self._checksums[name]


def refuse(error: OSError) -> None:
    """OSError for a folder that cannot be listed: its images would be missing unsaid."""
    raise OSError(f"cannot list the folder {error.filename!r}: {error.strerror}; make it readable or move it elsewhere")


def unfit(file: str) -> str:
    """Why a file holds no image; "" where it may hold one."""
    if not os.path.isfile(file):
        return "broken links or no regular files"
    if not os.access(file, os.R_OK):
        return "not readable by you"
    return "" if os.path.getsize(file) else "empty"


class ZipFiles(Files):
    """All files in a zip; the handle is opened when it is first needed, in each process for itself."""

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{str(self.path)!r} is a damaged zip ({error}); make it anew") from error

    @cached_property
    def _entries(self) -> dict[str, zipfile.ZipInfo]:
        """Entries by name, without folders and without those that repeat another in name and content."""
        files = [entry for entry in self._zip.infolist() if not entry.filename.endswith(("/", "\\"))]
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in {(normal_name(entry), entry.CRC, entry.file_size): entry for entry in files}.values():
            entries[unused(normal_name(entry), entries)] = entry
        return entries

    def find(self) -> Iterator[tuple[str, str]]:
        """Each entry."""
        for name, entry in self._entries.items():
            if entry.flag_bits & ENCRYPTED:
                raise ValueError(f"{str(self.path)!r} is encrypted: unpack it and give the folder")
            if entry.compress_type not in METHODS:
                raise ValueError(
                    f"{str(self.path)!r} is compressed by a method that Python does not read (number "
                    f"{entry.compress_type}; 9 is that of large zips made by Windows): unpack it and give the folder"
                )
            linked = stat.S_ISLNK(entry.external_attr >> 16)
            yield name, "links" if linked else "" if entry.file_size else "empty"

    def has(self, name: str) -> bool:
        return name in self._entries

    def bytes_of(self, name: str) -> bytes:
        return self._zip.read(self._entries[name])

    def checksum(self, name: str) -> int:
        return self._entries[name].CRC


def normal_name(entry: zipfile.ZipInfo) -> str:
    r"""The path of an entry; "./a/b", "/a/b" and, from Windows, "a\b" are ways to write a/b.

    A name that is not marked as UTF-8 is cp437 by the standard, and often UTF-8 all the same.
    """
    name = entry.filename
    if not entry.flag_bits & UTF_8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")


def unused(name: str, taken: Container[str]) -> str:
    """`name`, or with the first number from 2 that makes it differ from those taken."""
    start, extension = posixpath.splitext(name)
    numbered = (f"{start} ({number}){extension}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def open_files(path: Path) -> Files:
    """The files at `path`. FileNotFoundError if nothing is there, ValueError if it is neither folder nor zip."""
    if path.is_dir():
        return DirectoryFiles(path)
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist; give a directory of images or a .zip")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{str(path)!r} is neither a directory nor a readable .zip: unpack other archives, and give single "
            "pictures as a folder"
        )
    return ZipFiles(path)


def list_images(path: Path) -> tuple[Files, list[str]]:
    """The files at `path` and the names of the images among them. ValueError where there are none."""
    files = open_files(path)
    if not files.images:
        found = files.skipped or "no files"
        looked = ", ".join(EXTENSIONS)
        raise ValueError(f"{str(path)!r} has no images ({found}): looked for {looked} in all sub-folders")
    return files, files.images
