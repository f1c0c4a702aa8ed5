"""Keys of --mode=compare, with their meanings and defaults."""

from typing import Any


def compare() -> dict[str, Any]:
    """Keys of --mode=compare, which needs no config besides."""
    return {
        "runs": (),  # workdirs, folders of samples and report.json files, as runs/a,runs/b
    }
