"""Several processes as one run (jax.distributed), on one host or many: how they find and lose each other."""

import atexit
import os
import re
import subprocess
from typing import Any

import jax

HEARTBEAT = 100
"""Seconds without a sign of life after which the others give a process up, where LINNET_HEARTBEAT says no other."""

CURE = (
    "a process of this run has ended, or was not found within five minutes: the last lines of all say why. Start all "
    "of them again with the same command, which goes on after what is saved"
)

_shell = None

LOST = ("gloo", "nccl", "coordination", "peer", "unavailable", "heartbeat")
"""Words of the errors of JAX about other processes."""

STATUS = re.compile("[A-Z_]+: ")
"""How errors of XLA begin, ValueErrors of a compiled program as well: "UNKNOWN: Gloo all-reduce failed"."""


def initialize() -> None:
    """Joins the processes of the cluster that JAX recognises where LINNET_DISTRIBUTED=auto, or those that
    LINNET_COORDINATOR (host:port), LINNET_PROCESSES and LINNET_PROCESS_ID name; none without these variables.

    ValueError where JAX recognises no cluster.
    """
    auto = "LINNET_DISTRIBUTED" in os.environ
    if not auto and "LINNET_COORDINATOR" not in os.environ:
        return
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM; see training.interruption
    patience = int(os.environ.get("LINNET_HEARTBEAT", HEARTBEAT))
    leave_last_words()
    try:
        jax.distributed.initialize(
            **({} if auto else named()), heartbeat_timeout_seconds=patience, shutdown_timeout_seconds=patience
        )
    except ValueError as error:
        raise ValueError(
            f"LINNET_DISTRIBUTED=auto: JAX recognises no cluster here ({error}): start the command by srun, mpirun, on "
            "Kubernetes or a TPU slice, or set LINNET_COORDINATOR, LINNET_PROCESSES and LINNET_PROCESS_ID instead"
        ) from error


def introduce() -> None:
    """Says which process of how many this is, where there are several."""
    if _shell is None:
        return
    patience = int(os.environ.get("LINNET_HEARTBEAT", HEARTBEAT))
    print(
        f"process {jax.process_index()} of {jax.process_count()}, {jax.local_device_count()} of {jax.device_count()} "
        f"devices: all end within {patience} s (LINNET_HEARTBEAT) of one that dies; the same command on all goes on",
        flush=True,
    )


def leave_last_words() -> None:
    """Has a shell wait for this process, and say what to do where it ends without `part`.

    Where a process is not found, is called dead, or was the coordinator, JAX aborts from within, where nothing of ours
    runs.
    """
    global _shell
    command = ["sh", "-c", 'read -r end || echo "error: $1" >&2', "sh", CURE]
    _shell = subprocess.Popen(command, stdin=subprocess.PIPE)
    atexit.register(part)


def part() -> bool:
    """This process of several ends by itself: the others wait no more, and nothing is said of it. Whether there are."""
    if _shell is not None and _shell.poll() is None:
        _shell.communicate(b"end\n")
    return _shell is not None


def named() -> dict[str, Any]:
    """The arguments of jax.distributed.initialize that the variables name."""
    return {
        "coordinator_address": os.environ["LINNET_COORDINATOR"],
        "num_processes": int(os.environ["LINNET_PROCESSES"]),
        "process_id": int(os.environ["LINNET_PROCESS_ID"]),
    }


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another process of the run is there no more."""
    of_xla = isinstance(error, jax.errors.JaxRuntimeError) or STATUS.match(str(error))
    if not of_xla or jax.process_count() == 1:
        return False
    return any(word in str(error).lower() for word in LOST)
