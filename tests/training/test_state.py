"""Optimiser and averages: score_sde's update on given gradients, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from training.optimizer import create_optimizer
from training.state import TrainState, ema_rates


def optimizer(**changes):
    base = {"optimizer": "AdamW", "lr": 2e-4, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    return create_optimizer(
        ConfigDict({"optim": base | {"weight_decay": 0.0, "warmup": 0, "grad_clip": -1.0} | changes})
    )


@pytest.mark.parametrize("run", [0, 1])
def test_score_sde_update(golden, run, x64):
    """Five steps of clipping, warm-up, Adam and weight decay. The average here is unwarmed, as theirs is."""
    g = golden("jax/train_update.npz")
    settings = [{"warmup": 4, "grad_clip": 1.0}, {"weight_decay": 0.01}][run]
    adam = optimizer(**settings)
    params = {name: jnp.asarray(g[f"run{run}_init_{name}"]) for name in "wb"}
    average, state = params, adam.init(params)
    for i in range(5):
        grads = {name: jnp.asarray(g[f"run{run}_grad{i}_{name}"]) for name in "wb"}
        updates, state = adam.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        average = optax.incremental_update(params, average, 0.05)
        for name in "wb":
            np.testing.assert_allclose(params[name], g[f"run{run}_param{i}_{name}"], rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(average[name], g[f"run{run}_ema{i}_{name}"], rtol=1e-10, atol=1e-10)


def test_averages_follow_their_warm_up():
    """Parameters 1, 2, 3, ... : the average is the weighted sum with decay min(rate, (1 + k) / (10 + k)) at step k."""
    sgd = optax.sgd(1.0)
    state = TrainState.create({"w": jnp.zeros(())}, sgd, (0.5, 0.999))
    expected = [0.0, 0.0]
    for k in range(30):
        state = state.apply_gradients({"w": jnp.array(-1.0)}, sgd, (0.5, 0.999))
        for i, rate in enumerate((0.5, 0.999)):
            decay = min(rate, (1 + k) / (10 + k))
            expected[i] = decay * expected[i] + (1 - decay) * (k + 1)
    np.testing.assert_allclose([e["w"] for e in state.ema], expected, rtol=1e-5)


def test_a_slow_average_keeps_its_rate_in_float32():
    """1 - 0.9999 formed in float32 would be 1.7e-4 off; after the warm-up the average must move by exactly 1e-4."""
    sgd = optax.sgd(0.0)
    state = TrainState.create({"w": jnp.ones(())}, sgd, (0.9999,))
    state = state.replace(step=jnp.array(10**7), ema=({"w": jnp.zeros(())},))
    moved = state.apply_gradients({"w": jnp.zeros(())}, sgd, (0.9999,)).ema[0]["w"]
    np.testing.assert_allclose(moved, 1e-4, rtol=2e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizer(optimizer="Adagrad"), "'Adagrad' is unknown.*choose from Adam, AdamW"),
        (lambda: optimizer(optimizer="Adam", weight_decay=0.1), "weight_decay is for AdamW"),
        (lambda: ema_rates(ConfigDict({"model": {"ema_rate": 1.5}})), "must hold numbers in"),
    ],
)
def test_bad_settings_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_several_rates():
    assert ema_rates(ConfigDict({"model": {"ema_rate": (0.9, 0.99)}})) == (0.9, 0.99)
    assert ema_rates(ConfigDict({"model": {"ema_rate": 0.9}})) == (0.9,)
    assert jax.tree.leaves(TrainState.create({}, optax.sgd(1.0), (0.9, 0.99)).ema) == []
