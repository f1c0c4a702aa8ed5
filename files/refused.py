"""Files that others wrote and that cannot be read: the error they end in, and their first bytes."""

from pathlib import Path


def printable(text: str) -> str:
    """`text` with control characters, which names in a file may hold, as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Refused(ValueError):
    """A file that is damaged, hostile, or of no format that can be read; the message is one printable line."""

    def __init__(self, message: str):
        super().__init__(printable(message))


def first_bytes(path: Path, n: int = 4096) -> bytes:
    """The beginning of a file; of a folder, nothing."""
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(n)
