"""Choice of timesteps: the published resampler, and unbiasedness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training.timestep_samplers import LossSecondMoment, Uniform, get_timestep_sampler


def test_loss_second_moment(golden, x64):
    """State and weights after each of 40 updates."""
    g = {key.removeprefix("default."): value for key, value in golden("torch/idm_resampler.npz").items()}
    sampler = LossSecondMoment(8)
    kept = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, sampler.init())
    update = jax.jit(sampler.update)
    for i, losses, weights in zip(g["ts"], g["losses"], g["weights"], strict=True):
        kept = update(kept, jnp.asarray(i), jnp.asarray(losses))
        p = sampler.probabilities(kept)
        np.testing.assert_allclose(p, weights / weights.sum(), rtol=1e-12)
    np.testing.assert_allclose(kept["history"], g["loss_history"], rtol=1e-12)
    np.testing.assert_array_equal(kept["count"], g["loss_counts"])
    np.testing.assert_allclose(1 / (8 * p), g["importance_weights"], rtol=1e-12)


def test_many_losses_of_one_step_at_once_keep_the_last():
    sampler = LossSecondMoment(2, history=3)
    kept = sampler.update(sampler.init(), jnp.array([0, 1, 0]), jnp.array([1.0, 2.0, 3.0]))
    kept = sampler.update(kept, jnp.zeros(5, int), jnp.arange(10.0, 15.0))
    np.testing.assert_array_equal(kept["history"], [[12, 13, 14], [2, 0, 0]])
    np.testing.assert_array_equal(kept["count"], [3, 1])


@pytest.mark.parametrize("name", ["uniform", "loss_second_moment"])
def test_weighted_draws_are_unbiased(name):
    """sum_i f(i) / N from evenly spread numbers, steps weighted by 1 / (N p_i)."""
    sampler = get_timestep_sampler(name, 8)
    kept = sampler.init()
    for _ in range(10):
        kept = sampler.update(kept, jnp.arange(8), 1.0 + jnp.arange(8.0) ** 2)
    f = jnp.sin(jnp.arange(8.0))
    i, weights = sampler.weighted_steps(kept, (jnp.arange(20_000) + 0.5) / 20_000)
    np.testing.assert_allclose((weights * f[i]).mean(), f.mean(), atol=1e-3)
    assert (i.min(), i.max()) == (0, 7)


def test_likelier_steps_have_larger_losses():
    sampler = LossSecondMoment(4, uniform_share=0.0)
    kept = sampler.init()
    np.testing.assert_allclose(sampler.probabilities(kept), 0.25)
    for _ in range(10):
        kept = sampler.update(kept, jnp.arange(4), jnp.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(sampler.probabilities(kept), [0.1, 0.2, 0.3, 0.4], rtol=1e-6)


def test_uniform_never_leaves_the_chain():
    i, _ = Uniform(1000).weighted_steps((), jnp.array([0.0, np.nextafter(np.float32(1), np.float32(0))]))
    np.testing.assert_array_equal(i, [0, 999])


def test_unknown_name():
    with pytest.raises(ValueError, match="'importance' is unknown.*choose from uniform, loss_second_moment"):
        get_timestep_sampler("importance", 8)
