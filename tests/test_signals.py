"""Ctrl-C: one line, status 130, no traceback; at once at the second, and where compiled code lets nothing else run."""

import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

BUSY = """
import hashlib, signal, sys
from linnet import signals
signals.GRACE = float(sys.argv[1])
signals.end_at_second_interrupt()
if len(sys.argv) > 2:
    signal.signal(signal.SIGINT, lambda *_: None)  # as training does
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # no handler in Python runs for many minutes
"""


def interrupt(command, times=1, ready="ready\n"):
    """(status, stderr) of a program that gets SIGINT, `times` times, once it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == ready
    for _ in range(times):
        time.sleep(0.3)  # two signals in one instant are one
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("arguments", [("600", "training"), ("600",)])
def test_the_second_one_ends_whatever_runs(arguments):
    assert interrupt(["-c", BUSY, *arguments], times=2) == (130, "error: interrupted\n")


def test_the_first_one_does_where_nothing_is_saved():
    assert interrupt(["-c", BUSY, "0.1"]) == (130, "error: interrupted\n")


def test_libraries_do_not_hide_it():
    """Extension modules turn KeyboardInterrupt into ImportError: the command has one line all the same."""
    code = (
        "import sys, time\n"
        "from linnet import command\n"
        "def main(argv):\n"
        "    print('ready', flush=True)\n"
        "    try: time.sleep(60)\n"
        "    except KeyboardInterrupt as error: raise ImportError('while initialising') from error\n"
        "command.main = main\n"
        "sys.argv = ['main.py', '--config=configs/toy/rings_cld.py', '--mode=sample']\n"
        "command.run()\n"
    )
    assert interrupt(["-c", code]) == (130, "error: interrupted\n")
