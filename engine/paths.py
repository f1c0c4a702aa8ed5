"""Where a command reads and writes, by its flags --workdir, --ckpt and --result_folder.

In a workdir lie

    lock               whose training it is (training.lock)
    config.json        the config of the newest command that trained there
    checkpoints/       a folder for each step (training.checkpoint)
    metrics.jsonl      what was measured, a line for each step; tensorboard/ and wandb/ on request (training.metrics)
    samples/           grids of samples, a file for each step (engine.snapshot)
    stats_*.npz        reference statistics of the data (engine.reference)
    VERB/CHECKPOINT/   what check (and sample), eval, encode and interpolate found of a checkpoint
    data_report/ export/ ema/
"""

import dataclasses
import os
from typing import Any

from linnet.training.checkpoint import newest


@dataclasses.dataclass
class Paths:
    """The run's folder, the checkpoint to use instead of its newest, the folder (or file) of results; None each.

    A checkpoint of the run may be named by its step alone.
    """

    workdir: str | None = None
    ckpt: str | None = None
    result_folder: str | None = None

    def __post_init__(self) -> None:
        if self.ckpt is not None and self.workdir is not None and not os.path.exists(self.ckpt):
            step = self.run("checkpoints", self.ckpt)
            self.ckpt = step if os.path.isdir(step) else self.ckpt

    def run(self, *names: str) -> str:
        """A path in the workdir. ValueError where none was given."""
        if self.workdir is None:
            raise ValueError("--workdir is missing: the folder of the run")
        return os.path.join(self.workdir, *names)

    def source(self) -> str | None:
        """--ckpt, or the folder of the workdir's checkpoints; None where there are none."""
        if self.ckpt is not None or self.workdir is None:
            return self.ckpt
        folder = self.run("checkpoints")
        return None if newest(folder) is None else folder

    def checkpoint(self) -> str:
        """The `source` of the checkpoint to use. ValueError where there is none."""
        path = self.source()
        if path is None:
            raise ValueError(f"no checkpoint in {self.run('checkpoints')}: train first, or give --ckpt")
        return path

    def results(self, verb: str, trained: Any, *names: str) -> str:
        """--result_folder, or a folder of the verb beside the checkpoint that was `trained`, named after it."""
        if self.result_folder is not None:
            return self.result_folder
        if self.workdir is not None:
            return self.run(verb, trained.name, *names)
        return os.path.join(f"{trained.path}_{verb}", *names)
