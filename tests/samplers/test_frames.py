"""Trajectories of chosen states are those of all states, and the others take no memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers import SAMPLERS, frames
from sde_lib import VP
from sde_lib.exact import gaussian_eps

SHAPE = (2, 8, 8, 1)


@pytest.mark.parametrize(("wanted", "numbers"), [(True, [0, 1, 2, 3, 4]), (False, []), (3, [0, 2, 4]), (9, range(5))])
def test_which_states(wanted, numbers):
    assert frames.chosen(wanted, 5).tolist() == list(numbers)


@pytest.mark.parametrize("method", ["gddim", "pc", "ddpm", "em"])
def test_chosen_states_are_among_all(method):
    sde = VP(schedule="discrete")
    eps_fn, u_T = gaussian_eps(sde, np.zeros(SHAPE[1:], np.float32), 0.3), sde.prior(jax.random.key(0), SHAPE)
    every, few = (
        SAMPLERS[method](sde, trajectory=wanted, **{"respacing": "9"} if method == "ddpm" else {"nfe": 9})(
            eps_fn, jax.random.key(1), u_T
        )
        for wanted in (True, 4)
    )
    at = frames.chosen(4, len(every.trajectory["t"]))
    assert len(few.trajectory["t"]) == len(at) == 4
    np.testing.assert_array_equal(few.u, every.u)
    for name in ("t", "u", "x_0"):
        np.testing.assert_allclose(few.trajectory[name], every.trajectory[name][at], rtol=1e-6, atol=1e-6)


def test_the_others_take_no_memory():
    """XLA's own count for 200 steps: all states and predictions are 400 arrays, four of them a few."""
    sde = VP()
    eps_fn = gaussian_eps(sde, np.zeros(SHAPE[1:], np.float32), 0.3)

    def size(wanted):
        sampler = SAMPLERS["gddim"](sde, nfe=200, trajectory=wanted)
        compiled = jax.jit(lambda u: sampler(eps_fn, jax.random.key(1), u)).lower(jnp.zeros(SHAPE)).compile()
        memory = compiled.memory_analysis()
        return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / (4 * np.prod(SHAPE))

    assert size(True) > 400 and size(4) < 40
