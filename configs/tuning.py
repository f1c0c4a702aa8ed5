"""Keys of --mode=tune, with their meanings and defaults."""

from typing import Any


def tune() -> dict[str, Any]:
    """Keys of --mode=tune, which tunes the table of config.sampling."""
    return {
        "depth": "gradient",  # network_free (times) | forward (times) | gradient (times and coefficients)
        "loss": "log",  # gradient: of the distance: log (all starts alike) | square (the few that end elsewhere)
        "starts": 512,  # trajectories to tune on
        "held_out": 256,  # others, which the error is measured on and which end the descent
        "fine_nfe": 200,  # evaluations of the fine trajectories
        "history": 3,  # gradient: evaluations that a step may look at; at least those of the method
        "iterations": 100,  # gradient: at most so many of L-BFGS
        "batch_size": 128,  # starts that are followed at a time
    }
