"""The loop with a step that only counts: what is saved when, what ends it, and that nothing is lost."""

import os
import signal
import threading

import jax
import numpy as np
import optax
import pytest

from devices import parallel, processes
from training.checkpoint import NonFinite
from training.interruption import Interruption, Preempted
from training.loop import NonFiniteLoss, Schedule, train
from training.state import TrainState


class Console:
    """Says nothing."""

    def say(self, line):
        pass

    mark = advance = say

    def rate(self, step):
        return 1.0


class Run:
    """A run of `n_iters` steps, `stride` in a dispatch; `events` lists (what, step) in order."""

    def __init__(self, n_iters=20, stride=1, **frequencies):
        self.events, self.writers = [], []
        never = dict.fromkeys(("log", "evaluate", "snapshot", "preemption"), 0)
        self.schedule = Schedule(n_iters=n_iters, stride=stride, **never | frequencies)

    def step(self, state, n):
        ones = np.ones(jax.local_device_count() * n, np.float32)
        metrics = {"loss": parallel.shard(ones)}
        metrics |= {
            name: parallel.shard(ones[:, None].repeat(4, axis=1)) for name in ("quartile_sum_loss", "quartile_count")
        }
        return state.replace(step=state.step + n), metrics

    def save(self, state, for_good):
        self.events.append(("keep" if for_good else "save", int(parallel.first(state.step))))

    def evaluate(self, state, step):
        self.events.append(("evaluate", step))
        return {}

    def snapshot(self, state, step):
        self.events.append(("snapshot", step))
        return {}

    def batches(self, n):
        return n

    def __call__(self):
        state = TrainState.create({"w": np.zeros(1, np.float32)}, optax.identity(), ())
        with Interruption() as interruption:
            train(
                parallel.replicate(state),
                self.step,
                self.batches,
                self.schedule,
                save=self.save,
                check=lambda: None,
                snapshot=self.snapshot,
                evaluate=self.evaluate,
                interruption=interruption,
                console=Console(),
                writers=self.writers,
                first=parallel.first,
            )
        return self.events


def test_a_state_is_saved_before_it_is_measured():
    run = Run(evaluate=8, snapshot=10, preemption=8)
    assert run() == [
        ("save", 8), ("evaluate", 8), ("keep", 10), ("snapshot", 10), ("save", 16), ("evaluate", 16),
        ("keep", 20), ("evaluate", 20), ("snapshot", 20),
    ]  # fmt: skip


def test_snapshots_are_kept_whatever_the_stride_and_the_other_frequency():
    """The first dispatch that reaches a multiple of 10, at steps 3, 6, 9, 12, ...; nothing is ever due at 7."""
    assert [step for what, step in Run(n_iters=35, stride=3, snapshot=10, preemption=7)() if what == "keep"] == [
        12, 21, 30, 35,
    ]  # fmt: skip


def test_the_last_state_is_saved_where_no_other_is():
    assert Run(n_iters=20)() == [("save", 20)]


@pytest.mark.parametrize("what", ["evaluate", "snapshot"])
def test_a_measurement_that_fails_costs_no_step(what):
    run = Run(**{what: 7})

    def fail(state, step):
        raise ValueError("no test split")

    setattr(run, what, fail)
    with pytest.raises(ValueError, match="no test split"):
        run()
    assert run.events in ([("save", 7)], [("keep", 7)])


def test_a_record_that_cannot_be_written_costs_no_step():
    class Full:
        def write(self, step, scalars):
            raise OSError(f"no space left at step {step}")

    run = Run(log=7)
    run.writers = [Full()]
    with pytest.raises(OSError, match="no space left at step 7"):
        run()
    assert run.events == [("save", 7)]


def test_an_image_that_cannot_be_read_costs_no_step():
    run = Run()
    images = iter([1, 1, 1])
    run.batches = lambda n: next(images)
    with pytest.raises(StopIteration):
        run()
    assert run.events == [("save", 3)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_answered_after_the_step(number):
    run = Run(n_iters=10**9)

    def batches(n):
        if len(asked) == 5:
            os.kill(os.getpid(), number)
        asked.append(n)
        return n

    asked, run.batches, before = [], batches, signal.getsignal(number)
    with pytest.raises(Preempted, match=f"stopped by {number.name} at step 6; the state is saved"):
        run()
    assert run.events == [("save", 6)] and signal.getsignal(number) is before


@pytest.mark.parametrize("what", ["evaluate", "snapshot"])
def test_a_signal_does_not_wait_for_a_grid(what):
    run, ended = Run(**{what: 7}), threading.Event()

    def endless(state, step):
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended.wait(timeout=300)
        return {}

    setattr(run, what, endless)
    with pytest.raises(Preempted, match="stopped by SIGTERM at step 7"):
        run()
    ended.set()
    assert run.events in ([("save", 7)], [("keep", 7)])


def test_a_state_that_is_not_finite_is_not_called_good():
    run, save = Run(preemption=5), Run.save

    def refuse_the_third(state, for_good):
        if len(run.events) == 2:
            raise NonFinite("params/w holds values that are not finite")
        save(run, state, for_good)

    run.save = refuse_the_third
    with pytest.raises(NonFiniteLoss, match=r"params/w holds .* at step 15; the last good checkpoint is at step 10: "):
        run()
    assert run.events == [("save", 5), ("save", 10)]


def test_where_none_was_saved_none_is_called_good():
    run = Run()
    run.step = lambda state, n: (
        state,
        {name: parallel.shard(np.full(2, np.nan)) for name in ("loss", "grad_norm")},
    )
    with pytest.raises(NonFiniteLoss, match="the loss became nan at step 1 .*; no checkpoint was saved before: lower"):
        run()


def test_a_signal_to_another_process_is_heard_within_a_measurement(monkeypatch):
    """Everywhere after the same question: what the others were told counts as what this process was."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with Interruption() as interruption:
        for others, heard in (
            (False, ""),
            (True, "a signal to another process"),
            (False, "a signal to another process"),
        ):
            monkeypatch.setattr(processes, "everyones", lambda own, others=others: [own, others])
            assert (interruption.asked(), interruption.heard) == (bool(heard), heard)
