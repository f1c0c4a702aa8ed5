"""Several processes as one run (jax.distributed), on one host or many."""

import os

import jax


def initialize():
    """Joins the processes named by LINNET_COORDINATOR (host:port), LINNET_PROCESSES and LINNET_PROCESS_ID, if set."""
    if "LINNET_COORDINATOR" in os.environ:
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            os.environ["LINNET_COORDINATOR"],
            int(os.environ["LINNET_PROCESSES"]),
            int(os.environ["LINNET_PROCESS_ID"]),
        )
