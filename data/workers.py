"""What processes that decode images owe to the one that started them: they live as long, and leave signals to it.

Ctrl-C and the signals of schedulers go to all processes of a job. The first process stops at the end of a step, and
needs its workers until then.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker

POLL = 1
"""Seconds between two looks at whether the parent lives."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Processes and threads that are started in the block never hear SIGNALS; this thread does after it."""
    resource_tracker.ensure_running()  # it would unblock them when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow(parent: int, index: int, count: int) -> None:
    """To be run in a worker, number `index` of `count`: it ends soon after the process `parent`, however that ends."""

    def watch():
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
