"""The training loop: dispatches steps, and between them logs, saves, samples and stops.

Nothing in it waits for the device except logging, saving and sampling: metrics stay on the device until then.
"""

import signal
from typing import NamedTuple

import jax
import numpy as np

from linnet.training import parallel
from linnet.training.step import QUARTILES


class Schedule(NamedTuple):
    """Durations in optimiser steps; 0 means never. stride: steps per dispatch."""

    n_iters: int
    stride: int
    log: int
    evaluate: int
    snapshot: int
    preemption: int

    def due(self, frequency, step, before):
        """Whether a multiple of `frequency` lies in (before, step], or the run ends at `step`."""
        return frequency > 0 and (step // frequency > before // frequency or step == self.n_iters)


class NonFiniteLoss(RuntimeError):
    """The loss is NaN or infinite; the message says since which step and what to try."""


class Preempted(Exception):
    """SIGTERM arrived; the state is saved."""


class Interruption:
    """Whether SIGTERM has arrived since entering the context."""

    def __enter__(self):
        self.arrived = False
        self.previous = signal.signal(signal.SIGTERM, self._arrive)
        return self

    def _arrive(self, *_):
        self.arrived = True

    def __exit__(self, *_):
        signal.signal(signal.SIGTERM, self.previous)


def summarize(window, rate):
    """Means over the logged steps: window is a list of metrics of shape (s, ...), on the host."""
    joined = {k: np.concatenate([m[k] for m in window]) for k in window[0]}
    sums, counts = joined["quartile_sum"].sum(0), joined["quartile_count"].sum(0)
    quartiles = {f"loss_q{i}": float(sums[i] / counts[i]) for i in range(QUARTILES) if counts[i]}
    means = {name: float(values.mean()) for name, values in joined.items() if not name.startswith("quartile")}
    return means | {"images_per_s": rate} | quartiles


class Window:
    """Metrics since the last log, left on the device until `fetch`."""

    def __init__(self, start):
        self.start, self.metrics = start, []

    def fetch(self, saved):
        """The metrics on the host; NonFiniteLoss where a loss is not finite. saved: step of the last checkpoint."""
        window = jax.device_get([parallel.first(m) for m in self.metrics])
        losses = np.concatenate([m["loss"] for m in window])
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            norm = np.concatenate([m["grad_norm"] for m in window])[max(bad[0] - 1, 0)]
            raise NonFiniteLoss(
                f"the loss became {losses[bad[0]]} at step {self.start + int(bad[0]) + 1} (gradient norm {norm:.3g} "
                f"just before); the last good checkpoint is at step {saved}: lower config.optim.lr or "
                "config.optim.grad_clip, or set config.model.dtype=float32, and run the same command again"
            )
        return window


def train(state, step_fn, batches, schedule, *, save, snapshot, evaluate, console, writers):
    """Runs `step_fn` until schedule.n_iters and returns the replicated state.

    state: replicated TrainState. batches(n) places the next n batches on the devices. save(state) writes a
    checkpoint; snapshot(state, step) makes sample grids; it and evaluate(state) return scalars to write.
    Raises NonFiniteLoss, and Preempted after saving on SIGTERM.
    """
    step = saved = int(parallel.first(state.step))
    window, compiled = Window(step), set()
    with Interruption() as interruption:
        while step < schedule.n_iters:
            n = min(schedule.stride, schedule.n_iters - step)
            if n not in compiled:
                console.say("compiling the training step ...")
            state, metrics = step_fn(state, batches(n))
            window.metrics.append(metrics)
            if n not in compiled:
                jax.block_until_ready(metrics)
                compiled.add(n)
                console.mark(step + n)
            before, step = step, step + n
            console.advance(step)
            if schedule.due(schedule.log, step, before):
                scalars = summarize(window.fetch(saved), console.rate(step))
                window = Window(step)
                for writer in writers:
                    writer.write(step, scalars)
            if schedule.due(schedule.evaluate, step, before):
                scalars = evaluate(state)
                for writer in writers:
                    writer.write(step, scalars)
                console.mark(step)
            if schedule.due(schedule.preemption, step, before) or interruption.arrived:
                if window.metrics:
                    window.fetch(saved)
                save(state)
                saved = step
            if interruption.arrived:
                raise Preempted(f"stopped by SIGTERM at step {step}; the state is saved, the same command goes on")
            if schedule.due(schedule.snapshot, step, before):
                scalars = snapshot(state, step)
                for writer in writers * bool(scalars):
                    writer.write(step, scalars)
                console.mark(step)
    return state
