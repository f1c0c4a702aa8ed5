"""What is said where processes do not come together; that they do is tested by tests/modes/test_processes.py."""

import subprocess
import sys

import jax
import pytest

from devices import distributed
from tests.conftest import ROOT


def test_where_no_cluster_is_recognised_one_line_says_what_to_do(monkeypatch):
    def refuse(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)  # the collectives of CPUs stay as they are
    monkeypatch.setenv("LINNET_DISTRIBUTED", "auto")
    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    monkeypatch.setattr(distributed, "leave_last_words", lambda: None)
    with pytest.raises(ValueError, match="JAX recognises no cluster here .*: start the command by srun") as caught:
        distributed.initialize()
    assert "\n" not in str(caught.value)


LAST_WORDS = """
import os, sys
from linnet.devices import distributed
distributed.leave_last_words()
os.abort() if sys.argv[1] == "aborts" else distributed.part()
"""


@pytest.mark.parametrize(("end", "said"), [("aborts", f"error: {distributed.CURE}\n"), ("parts", "")])
def test_last_words_are_for_an_end_from_within(end, said):
    done = subprocess.run([sys.executable, "-c", LAST_WORDS, end], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == said


def test_only_errors_about_others_are_theirs(monkeypatch):
    lost = jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [127.0.0.1]:10150")
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes.")
    dispatched = ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:22953")
    assert not distributed.is_lost(lost)  # there is one process
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert distributed.is_lost(lost) and distributed.is_lost(dispatched)
    assert not distributed.is_lost(full) and not distributed.is_lost(ValueError("peer"))
