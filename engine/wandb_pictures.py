"""The pictures that a command writes, sent to the Weights & Biases run of its workdir; training sends its own."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from linnet.engine.paths import Paths
from linnet.training.metrics import Wandb

ASIDE = {"wandb", "png"}
"""Folders whose pictures are not sent: those of the run itself, and single samples."""


@contextlib.contextmanager
def logging_pictures(paths: Paths, config: ConfigDict) -> Iterator[None]:
    """In it a command runs; at its end new and changed pictures in the workdir and --result_folder are sent.

    ValueError where there is no workdir; ImportError without wandb.
    """
    folders = [paths.run(), *filter(None, [paths.result_folder])]
    with contextlib.closing(Wandb(paths.workdir, config)) as run:
        before = pictures(folders)
        yield
        for name, path, _ in sorted(pictures(folders) - before):
            run.picture(name, path)


def pictures(folders: Iterable[str]) -> set[tuple[str, str, int]]:
    """{(name, path, time of change)} of the PNG files below the folders; a name is the path there without .png."""
    found = set()
    for folder in map(Path, folders):
        for path in folder.rglob("*.png"):
            inside = path.relative_to(folder)
            if not ASIDE & {*inside.parts[:-1]}:
                found.add((str(inside.with_suffix("")), str(path), os.stat(path).st_mtime_ns))
    return found
