"""How the command ends when it is asked to: Ctrl-C with one line, twice at once, and training that has saved."""

import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

INTERRUPTED = 128 + signal.SIGINT
"""Exit status of a program that Ctrl-C ended, as shells have it."""

GRACE = 3
"""Seconds in which an interrupted program may put its things in order."""


interrupted = threading.Event()
"""Set from the first Ctrl-C on, unless training answers it: what the libraries make of KeyboardInterrupt varies."""


def interrupt(*_: Any) -> NoReturn:
    """What Ctrl-C does where there is nothing to save."""
    interrupted.set()
    raise KeyboardInterrupt


def end_at_second_interrupt() -> None:
    """From now on a second Ctrl-C ends the program whatever it does, and GRACE seconds where nothing answers the first.

    Handlers in Python wait for compiled code and compilations to return; a thread reads the signals' numbers.
    """
    signal.signal(signal.SIGINT, interrupt)
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    threading.Thread(target=watch, args=(reading, writing), daemon=True).start()


def watch(reading: socket.socket, writing: socket.socket) -> NoReturn:
    """Reads signal numbers, and ends the program at the second SIGINT. writing: the other end, to keep it open."""
    interrupts = 0
    while interrupts < 2:
        unwinding = interrupts and signal.getsignal(signal.SIGINT) is interrupt
        readable, _, _ = select.select([reading], [], [], GRACE if unwinding else None)
        interrupts += reading.recv(1)[0] == signal.SIGINT if readable else 1
    os.write(sys.stderr.fileno(), b"error: interrupted\n")
    os._exit(INTERRUPTED)


def leave(stop: BaseException) -> None:
    """Prints why training stopped and ends the program well, at once: a device may still be busy for nobody.

    One of several processes ends as usual: the others would take its sudden end for a failure.
    """
    import jax

    print(stop, flush=True)
    if jax.process_count() == 1:
        os._exit(0)


def abandon(error: BaseException) -> None:
    """Ends one of several processes that fails by `error` at once: an orderly end waits for the others.

    These wait for it, in vain, until they see that it is gone.
    """
    distributed = sys.modules.get("linnet.devices.distributed")
    status: Any = error.code if isinstance(error, SystemExit) else 1
    if distributed is None or not status or not distributed.part():
        return
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
