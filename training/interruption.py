"""SIGTERM and Ctrl-C as a wish to stop, which all processes of a run hear at the same step."""

import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import jax

from linnet.arrays import Array
from linnet.devices import parallel, processes

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AHEAD = 2  # dispatches that the host is ahead of the devices: they always have work, and a signal waits for no more
POLL = 0.1  # seconds


class Preempted(Exception):
    """A signal arrived; the state is saved."""


class Interruption:
    """From entering the context to leaving it, a signal does no more than to be `heard`."""

    def __init__(self):
        self._name = ""
        self._ahead = deque()
        self._everywhere = False

    def __enter__(self):
        self._alone = jax.process_count() == 1
        self._previous = {number: signal.signal(number, self._arrive) for number in SIGNALS}
        return self

    def _arrive(self, number, _):
        self._name = signal.Signals(number).name

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def heard(self) -> str:
        """What asks to stop, or "". Several processes hear it by `after` or `asked`, at the same step."""
        if self._alone:
            return self._name
        return (self._name or "a signal to another process") if self._everywhere else ""

    def after(self, metrics: dict[str, Array]) -> None:
        """To be called after every dispatch, with its metrics on the devices.

        A dispatch carries what its process has heard to all others, and what is looked at is what the dispatch AHEAD
        before it carried, which the devices have done with: nobody waits for an answer.
        """
        flag = None if self._alone else parallel.anywhere(bool(self._name))
        self._ahead.append((metrics["loss"], flag))
        if len(self._ahead) > AHEAD:
            loss, flag = self._ahead.popleft()
            jax.block_until_ready(loss)
            self._everywhere = bool(flag)

    def asked(self) -> bool:
        """Whether a signal asks to stop, for measurements between their batches; to be called in all processes."""
        self._everywhere = self._everywhere or any(processes.everyones(bool(self._name)))
        return self._everywhere

    def run(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """function(*arguments); {} as soon as a signal is heard, and nobody waits for the function any more.

        Several processes cannot agree before their devices are free: they wait until the function has `asked`.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="measurement")
        result = worker.submit(function, *arguments)
        worker.shutdown(wait=False)
        while not result.done() and not self.heard:
            wait([result], timeout=POLL)
        return result.result() if result.done() else {}
