"""Where numbers go: the console, metrics.jsonl, and on request Weights & Biases and TensorBoard.

A writer has write(step, scalars), image(step, name, path) and close(). jsonl is the record: one line per log step,
flushed at once, cut back to the checkpoint when a run resumes.
"""

import hashlib
import json
import math
import os
import sys
import time
from typing import Any

import jax
import psutil


class Console:
    """One line per log step; on a terminal also a progress bar. batch_size: images per step, for images/s and ETA."""

    def __init__(self, n_iters, batch_size, start=0):
        self.n_iters = n_iters
        self.batch_size = batch_size
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=n_iters, initial=start, unit="step", dynamic_ncols=True)
        self.mark(start)

    def say(self, line: str) -> None:
        """Prints a line without disturbing the bar."""
        self.bar.write(line) if self.bar else print(line, flush=True)

    def mark(self, step: int) -> None:
        """Restarts the clock of images/s: what went before (compilation, sampling) does not count."""
        self.step = step
        self.clock = time.perf_counter()

    def rate(self, step: int) -> float:
        """Images per second since the last mark, which moves here."""
        rate = (step - self.step) * self.batch_size / max(time.perf_counter() - self.clock, 1e-9)
        self.mark(step)
        return rate

    def advance(self, step: int) -> None:
        """Moves the bar to `step`."""
        if self.bar:
            self.bar.update(step - self.bar.n)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Prints the line of a step."""
        left = (self.n_iters - step) * self.batch_size / max(scalars.get("images_per_s", 0), 1e-9)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in scalars.items())
        self.say(
            f"step {step}/{self.n_iters}  {shown}" + (f"  ETA {duration(left)}" if "images_per_s" in scalars else "")
        )

    def image(self, step: int, name: str, path: str) -> None:
        """Says where a picture lies."""
        self.say(f"step {step}/{self.n_iters}  {name} samples: {path}")

    def close(self) -> None:
        """Ends the bar."""
        if self.bar:
            self.bar.close()


class JsonLines:
    """metrics.jsonl: {"step": ..., name: number, ...} per line; lines after step `start` are dropped at opening."""

    def __init__(self, path, start=0):
        kept = []
        if os.path.exists(path):
            kept = [line for line, record in recorded(path) if record and record["step"] <= start]
        with open(f"{path}.tmp", "wb") as file:
            file.writelines(line + b"\n" for line in kept)
        os.replace(f"{path}.tmp", path)
        self.file = open(path, "a")  # noqa: SIM115  (closed by close)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Appends the line of a step, flushed at once."""
        self.file.write(json.dumps({"step": step, **scalars}) + "\n")
        self.file.flush()

    def image(self, step: int, name: str, path: str) -> None:
        """Pictures are no part of the record."""

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


class Wandb:
    """A Weights & Biases run that a resumed run continues; WANDB_MODE=offline works without an account."""

    def __init__(self, workdir, config):
        try:
            import wandb
        except ImportError as error:
            raise ImportError("--wandb needs the package wandb: pip install wandb") from error
        self.wandb = wandb
        path = os.path.realpath(workdir)
        self.run = wandb.init(
            project="linnet",
            name=os.path.basename(path),
            id=run_id(path),
            resume="allow",
            dir=workdir,
            config=config.to_dict(),
        )

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Logs the numbers of a step."""
        self.run.log(scalars, step=step)

    def image(self, step: int, name: str, path: str) -> None:
        """Uploads the picture at `path`."""
        self.run.log({f"samples/{name}": self.wandb.Image(path)}, step=step)

    def picture(self, name: str, path: str) -> None:
        """A picture of no step."""
        self.run.log({name: self.wandb.Image(path)})

    def close(self) -> None:
        """Ends the run, once all is uploaded."""
        self.run.finish()


def run_id(path: str) -> str:
    """The id of the W&B run of the workdir with this absolute path: another folder of the same name is another run."""
    return hashlib.sha256(path.encode()).hexdigest()[:16]


class TensorBoard:
    """Event files in `logdir` through clu. ImportError where the extra `tensorboard` is not installed."""

    def __init__(self, logdir):
        try:
            from clu import metric_writers
        except ImportError as error:
            raise ImportError("--tensorboard needs packages: pip install clu tensorflow tensorboard") from error
        self.writer = metric_writers.SummaryWriter(logdir)

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Writes the numbers of a step as scalars."""
        self.writer.write_scalars(step, scalars)

    def image(self, step: int, name: str, path: str) -> None:
        """Writes the picture at `path`."""
        import numpy as np
        from PIL import Image

        self.writer.write_images(step, {name: np.atleast_3d(np.array(Image.open(path)))[None]})

    def close(self) -> None:
        """Closes the event file."""
        self.writer.close()


def recorded(path: str) -> list[tuple[bytes, dict[str, Any] | None]]:
    """(line, record) of each line of metrics.jsonl; None for what a crash cut off or filled with zeros."""
    with open(path, "rb") as file:
        return [(line, _record(line)) for line in file.read().splitlines()]


def _record(line: bytes) -> dict[str, Any] | None:
    """{"step": ..., name: number, ...} of a line; None where it is damaged."""
    try:
        record = json.loads(line)
        return record if math.isfinite(record["step"]) else None
    except (ValueError, KeyError, TypeError):
        return None


def memory() -> dict[str, float]:
    """GiB held now: of this process, and of the first device at its fullest, where the device says."""
    held = {"memory_gib": psutil.Process().memory_info().rss}
    of_device = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in of_device:
        held["device_gib"] = of_device["peak_bytes_in_use"]
    return {name: size / 2**30 for name, size in held.items()}


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
