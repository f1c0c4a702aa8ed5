"""Loops over steps that keep some of what they visit: the others take no memory on the device."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Host


def chosen(trajectory: bool | int, steps: int) -> Host:
    """Numbers of the steps whose states are kept: all for True, none for False, or so many evenly chosen ones."""
    number = steps if trajectory is True else int(trajectory)
    return np.unique(np.linspace(0, steps - 1, number).round().astype(int))


def scan(step: Callable, carry: Any, xs: Any, frames: Host) -> tuple[Any, Any]:
    """jax.lax.scan of step(carry, x) -> (carry, y), which keeps the y of the steps `frames` (host, increasing) alone.

    Returns (carry, the tree of these y, stacked), or None in its place where frames is empty.
    """
    steps = len(jax.tree.leaves(xs)[0])
    if len(frames) == 0:
        return jax.lax.scan(lambda carry, x: (step(carry, x)[0], None), carry, xs)
    if len(frames) == steps:
        return jax.lax.scan(step, carry, xs)
    slots = np.full(steps, len(frames))
    slots[frames] = np.arange(len(frames))
    _, shapes = jax.eval_shape(step, carry, jax.tree.map(lambda x: x[0], xs))
    kept = jax.tree.map(lambda y: jnp.zeros((len(frames), *y.shape), y.dtype), shapes)

    def keeping(carry_kept, x_slot):
        (carry, kept), (x, slot) = carry_kept, x_slot
        carry, y = step(carry, x)
        return (carry, jax.tree.map(lambda rows, new: rows.at[slot].set(new, mode="drop"), kept, y)), None

    (carry, kept), _ = jax.lax.scan(keeping, (carry, kept), (xs, jnp.asarray(slots)))
    return carry, kept
