"""JSON files: written whole or not at all, indented, with one newline at the end; a damaged one is named."""

import json
import os
from pathlib import Path

from linnet.files.atomic import atomic_write


def write_json(path: str | os.PathLike, content: object, allow_nan: bool = True) -> None:
    """Writes what json.dumps takes. ValueError for NaN and infinity unless they are allowed; OSError."""
    text = json.dumps(content, indent=2, allow_nan=allow_nan)
    with atomic_write(path) as file:
        file.write(text.encode() + b"\n")


def read_json(path: str | os.PathLike, advice: str) -> dict:
    """What the file holds. ValueError where it is damaged, which ends in `advice`; OSError."""
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {advice}") from error
