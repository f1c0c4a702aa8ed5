"""One training per workdir: the file `lock` says whose it is, and the kernel whether that process still lives.

The kernel gives a lock back when its process ends, however it ends, and knows it in every container of a machine.
Between machines it may not: so the owner also touches the file every BEAT seconds, and who finds the name of another
host in it watches for WATCH seconds before taking over.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

BEAT = 5
WATCH = 20


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Holds the lock of `folder`, which is made where it is missing.

    OSError where the folder cannot be written, RuntimeError where another training holds the lock.
    """
    with open_lock(folder) as file:
        take(file, folder)
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        released = threading.Event()
        threading.Thread(target=beat, args=(file.name, released), daemon=True).start()
        try:
            yield
        finally:
            released.set()
            file.truncate(0)


def open_lock(folder: str) -> TextIO:
    """The file `lock` of `folder`, open. OSError names the folder."""
    try:
        os.makedirs(folder, exist_ok=True)
        return open(os.path.join(folder, "lock"), "a+")
    except OSError as error:
        raise OSError(f"--workdir={folder} cannot be written: {error.strerror}") from error


def take(file: TextIO, folder: str) -> None:
    """Locks `file`. RuntimeError names the owner who lives."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        trusted = {"", socket.gethostname()}
    except BlockingIOError:
        raise in_use(file, folder) from None
    except OSError:  # this file system has no locks
        trusted = {""}
    host, pid = read_owner(file)
    if host not in trusted:
        print(f"{folder} was last trained by {host}: seeing for {WATCH} s whether it still is", flush=True)
        if beats(file.name):
            raise in_use(file, folder)
    if host:
        print(f"process {pid} on {host} left {folder} without closing it", flush=True)


def in_use(file: TextIO, folder: str) -> RuntimeError:
    """The error of a second training."""
    host, pid = read_owner(file)
    return RuntimeError(
        f"{folder} is in use: process {pid} on {host} trains there; stop it, or choose another --workdir"
    )


def read_owner(file: TextIO) -> tuple[str, Any]:
    """(host, pid) of who locked last; an empty host where the lock was given back."""
    file.seek(0)
    text = file.read()
    try:
        owner = json.loads(text) if text else {"host": "", "pid": "?"}
        return owner["host"], owner["pid"]
    except (ValueError, KeyError, TypeError):
        return "another host", "?"


def beat(path: str, released: threading.Event) -> None:
    """Touches the file until `released`."""
    with contextlib.suppress(OSError):
        while not released.wait(BEAT):
            os.utime(path)


def beats(path: str) -> bool:
    """Whether the file is touched within WATCH seconds."""
    before = touched(path)
    time.sleep(WATCH)
    return touched(path) != before


def touched(path: str) -> int:
    """When the file was last changed, asked anew of a file system that is shared."""
    with open(path) as file:
        return os.fstat(file.fileno()).st_mtime_ns
