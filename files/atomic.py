"""Files that appear whole or not at all: written under a temporary name, then renamed over the target."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yields a binary file beside `path` that replaces `path` when the block ends without an exception.

    Missing parent folders are created. After an exception `path` is as it was before. OSError as `check_writable`.
    """
    path = Path(path)
    check_writable(path)
    temporary = _beside(path)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """OSError in one line where no file can be written at `path`, to be asked before the work.

    Missing parent folders are created; what is at `path` stays as it is.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _beside(path).touch()
        _beside(path).unlink()
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}: {error.filename}") from error


def _beside(path: Path) -> Path:
    """Where the file for `path` is written until it is whole."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
