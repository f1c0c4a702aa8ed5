"""What is said where processes do not come together; that they do is tested by tests/modes/test_processes.py."""

import jax
import pytest

from devices import distributed


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (ValueError("coordinator_address should be defined."), ValueError, "JAX recognises no cluster here .*: start"),
        (jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: x\nmore"), RuntimeError, r"not find each other \(DEADLINE_EXC"),
    ],
)
def test_one_line_says_what_to_do(raised, error, message, monkeypatch):
    def refuse(**_):
        raise raised

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)  # the collectives of CPUs stay as they are
    monkeypatch.setenv("LINNET_DISTRIBUTED", "auto")
    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(error, match=message) as caught:
        distributed.initialize()
    assert "\n" not in str(caught.value) and not distributed.part()


def test_only_errors_about_others_are_theirs(monkeypatch):
    lost = jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [127.0.0.1]:10150")
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes.")
    assert not distributed.is_lost(lost)  # there is one process
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert distributed.is_lost(lost) and not distributed.is_lost(full) and not distributed.is_lost(ValueError("peer"))
