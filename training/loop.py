"""The training loop: dispatches steps, and between them logs, saves, samples and stops.

Nothing in it waits for the device except logging, saving and sampling: metrics stay on the device until then, but for
those of a few steps before (see training.interruption). What can fail comes after what is saved.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from linnet.training.checkpoint import NonFinite
from linnet.training.interruption import Interruption, Preempted
from linnet.training.metrics import memory
from linnet.training.state import TrainState
from linnet.training.step import QUARTILES, SUM


class Schedule(NamedTuple):
    """Durations in optimiser steps; 0 means never. stride: steps per dispatch. The last step is always saved."""

    n_iters: int
    stride: int
    log: int
    evaluate: int
    snapshot: int
    preemption: int

    def chunks(self, step: int) -> Iterator[int]:
        """Steps of each dispatch from `step` on."""
        return (min(self.stride, self.n_iters - begin) for begin in range(step, self.n_iters, self.stride))

    def due(self, frequency: int, step: int, before: int) -> bool:
        """Whether a multiple of `frequency` lies in (before, step], or the run ends at `step`."""
        return frequency > 0 and (step // frequency > before // frequency or step == self.n_iters)


class NonFiniteLoss(RuntimeError):
    """The loss or the state is NaN or infinite; the message says since which step and what to try."""


def advice(saved: int) -> str:
    """What to do about a number that is not finite. saved: step of the last checkpoint, 0 where there is none."""
    last = f"the last good checkpoint is at step {saved}" if saved else "no checkpoint was saved before"
    return (
        f"{last}: lower config.optim.lr, or config.optim.grad_clip (0 switches it off), or set "
        "config.model.dtype=float32, and run the same command again"
    )


def summarize(window: list[dict[str, np.ndarray]], rate: float) -> dict[str, Any]:
    """Means over the logged steps: window is a list of metrics of shape (s, ...), on the host."""
    joined = {k: np.concatenate([m[k] for m in window]) for k in window[0]}
    counts = joined["quartile_count"].sum(0)
    sums = {name.removeprefix(SUM): values.sum(0) for name, values in joined.items() if name.startswith(SUM)}
    there = [i for i in range(QUARTILES) if counts[i]]
    quartiles = {f"{name}_q{i}": float(total[i] / counts[i]) for name, total in sums.items() for i in there}
    means = {name: float(values.mean()) for name, values in joined.items() if not name.startswith("quartile")}
    return means | {"images_per_s": rate} | quartiles


class Window:
    """Metrics since the last log, left on the device until `fetch`. first: takes one copy of them."""

    def __init__(self, start, first):
        self.start = start
        self.first = first
        self.metrics = []

    def fetch(self, saved: int) -> list[dict[str, np.ndarray]]:
        """The metrics on the host; NonFiniteLoss where a loss is not finite. saved: step of the last checkpoint."""
        window = jax.device_get([self.first(m) for m in self.metrics])
        losses = np.concatenate([m["loss"] for m in window]) if window else np.zeros(0)
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            norm = np.concatenate([m["grad_norm"] for m in window])[max(bad[0] - 1, 0)]
            raise NonFiniteLoss(
                f"the loss became {losses[bad[0]]} at step {self.start + int(bad[0]) + 1} (gradient norm {norm:.3g} "
                f"just before); {advice(saved)}"
            )
        return window


class Saver:
    """Saves the state of a step once, where it is finite. write(state, for_good) writes a checkpoint."""

    def __init__(self, write, step):
        self.write = write
        self.saved = step

    def __call__(self, state: TrainState, step: int, window: Window, for_good: bool = False) -> None:
        """Saves the state of `step`; NonFiniteLoss where it, or a loss of the window, is not finite."""
        if step == self.saved:
            return
        window.fetch(self.saved)
        try:
            self.write(state, for_good)
        except NonFinite as error:
            raise NonFiniteLoss(f"{error} at step {step}; {advice(self.saved)}") from error
        self.saved = step


def train(
    state: TrainState,
    step_fn: Callable[..., Any],
    batches: Callable[[int], Any],
    schedule: Schedule,
    *,
    save: Callable[..., None],
    check: Callable[[], None],
    snapshot: Callable[..., dict[str, float]],
    evaluate: Callable[..., dict[str, float]],
    interruption: Interruption,
    console: Any,
    writers: list[Any],
    first: Callable[[Any], Any],
) -> TrainState:
    """Runs `step_fn` until schedule.n_iters and returns the state.

    state: on the devices; `first` takes one copy (see devices.engines). batches(n) places the next n batches there.
    save(state, for_good) writes a checkpoint in the background, and check() raises where that failed. evaluate(state,
    step) and snapshot(state, step) return scalars to write. NonFiniteLoss; Preempted after saving on a signal.
    """
    step = int(first(state.step))
    save = Saver(save, step)
    window = Window(step, first)
    compiled = set()
    for n in schedule.chunks(step):
        if n not in compiled:
            console.say("compiling the training step ...")
        with saving_first(save, state, step, window):
            chunk = batches(n)
        state, metrics = step_fn(state, chunk)
        window.metrics.append(metrics)
        if n not in compiled:
            jax.block_until_ready(metrics)
            compiled.add(n)
            console.mark(step + n)
        before, step = step, step + n
        console.advance(step)
        interruption.after(metrics)
        for_good = schedule.due(schedule.snapshot, step, before)
        if for_good or step == schedule.n_iters or schedule.due(schedule.preemption, step, before):
            save(state, step, window, for_good)
        if schedule.due(schedule.log, step, before):
            scalars = summarize(window.fetch(save.saved), console.rate(step)) | memory()
            window = Window(step, first)
            with saving_first(save, state, step, window):
                check()
                write(writers, step, scalars)
        for frequency, measure in ((schedule.evaluate, evaluate), (schedule.snapshot, snapshot)):
            if schedule.due(frequency, step, before) and not interruption.heard:
                with saving_first(save, state, step, window):
                    scalars = interruption.run(measure, state, step)
                    write(writers, step, scalars)
                console.mark(step)
        if interruption.heard:
            save(state, step, window)
            raise Preempted(
                f"stopped by {interruption.heard} at step {step}; the state is saved, the same command goes on"
            )
    return state


def write(writers: list[Any], step: int, scalars: dict[str, float]) -> None:
    """Tells every writer, where there is something to tell."""
    for writer in writers * bool(scalars):
        writer.write(step, scalars)


@contextlib.contextmanager
def saving_first(save: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """save(*arguments) before an error leaves the block; not in one of several processes, for saving may need all."""
    try:
        yield
    except Exception:
        if jax.process_count() == 1:
            save(*arguments)
        raise
