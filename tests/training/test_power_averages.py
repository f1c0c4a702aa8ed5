"""Averages of any width after training: the weights of steps, and what combinations of them are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from training.power_averages import combination, exponent, profile
from training.state import TrainState

STEPS = 24
ALL = np.arange(1, STEPS + 1.0)


@pytest.fixture(scope="module")
def tracked():
    """{width: its average after each step (STEPS, STEPS)} of parameters that are 1 in entry i after step i alone."""
    widths = (0.05, 0.1, 0.15)
    sgd = optax.sgd(1.0)
    state = TrainState.create({"w": jnp.zeros(STEPS)}, sgd, (), ema_stds=widths)
    update = jax.jit(lambda state, gradient: state.apply_gradients({"w": gradient}, sgd, (), widths))
    found = []
    for i in range(STEPS):
        state = update(state, state.params["w"] - jnp.eye(STEPS)[i])
        found.append([average["w"] for average in state.ema])
    return dict(zip(widths, np.asarray(found).swapaxes(0, 1), strict=True))


@pytest.mark.parametrize("std", [0.02, 0.05, 0.1, 0.25])
def test_the_width_is_the_deviation_of_the_weights(std):
    """Over 4,000 steps, which are 80 of the smallest deviation: sums and integrals differ by less than 1e-4."""
    steps = np.arange(1, 4001.0)
    weights = profile(std, 4000, steps)
    mean = weights @ steps
    assert abs(weights.sum() - 1) < 1e-12
    assert abs(np.sqrt(weights @ (steps - mean) ** 2) / 4000 - std) < 1e-4
    g = exponent(std)
    assert abs((g + 1) ** 0.5 / ((g + 2) * (g + 3) ** 0.5) - std) < 1e-12


def test_training_weighs_steps_by_the_profile(tracked):
    """What steps of float32 leave: some units in the last place of 1."""
    for std, averages in tracked.items():
        for time in (1, 2, STEPS):
            np.testing.assert_allclose(averages[time - 1], profile(std, time, ALL), atol=1e-6)


@pytest.mark.parametrize("std", [0.02, 0.07, 0.15, 0.25])
def test_averages_kept_at_every_step_make_every_other_one(tracked, std):
    """They span all weights."""
    kept = [(width, time) for time in range(1, STEPS + 1) for width in (0.05, 0.1)]
    weights, residual = combination(kept, std, STEPS)
    made = sum(w * tracked[width][time - 1] for w, (width, time) in zip(weights, kept, strict=True))
    np.testing.assert_allclose(made, profile(std, STEPS, ALL), atol=1e-6)
    assert residual < 1e-6


def test_a_kept_average_is_itself():
    weights, residual = combination([(0.05, 10), (0.1, 10), (0.05, 20), (0.1, 20)], 0.1, 20)
    np.testing.assert_allclose(weights, [0, 0, 0, 1], atol=1e-9)
    assert residual < 1e-9


def test_the_residual_is_what_is_missed(tracked):
    """Of few averages: the nearest combination, whose distance the residual says. More of them miss less."""
    residuals = []
    for every in (8, 4):
        kept = [(width, time) for time in range(every, STEPS + 1, every) for width in (0.05, 0.1)]
        weights, residual = combination(kept, 0.15, STEPS)
        made = sum(w * tracked[width][time - 1] for w, (width, time) in zip(weights, kept, strict=True))
        wanted = profile(0.15, STEPS, ALL)
        assert abs(np.linalg.norm(made - wanted) / np.linalg.norm(wanted) - residual) < 1e-5
        residuals.append(residual)
    assert residuals[1] < residuals[0]


def test_blocks_of_steps_do_not_matter(monkeypatch):
    kept = [(width, time) for time in (300, 600, 1000) for width in (0.05, 0.1)]
    whole = combination(kept, 0.07, 1000)
    monkeypatch.setattr("training.power_averages.BLOCK", 64)
    parts = combination(kept, 0.07, 1000)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-6, atol=1e-8)
    assert abs(parts[1] - whole[1]) < 1e-9
