"""Time labels against their formulas, and times of the states against their numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.default import get_config
from configs.vp.cifar10_ddpm import get_config as cifar10_ddpm
from models.eps_net import create_eps_net
from models.labels import NoiseLevel, Numbered, OnChain, Proportional, labels_of
from sde_lib import CLD, SDES, VE, VP, SubVP
from training.objectives import get_objective

CHAIN = {n: VP(schedule="discrete", num_steps=n).chain for n in (100, 1000, 4000)}
UP, DOWN = (lambda i, n: i), (lambda i, n: n - 1 - i)
STATES = {
    "numbered": (Numbered(1000), UP),
    "numbered-short": (Numbered(50, T=0.9946), UP),
    "whole": (Numbered(4000, T=80.0, whole=True), UP),
    "falling": (Numbered(1000, whole=True, falling=True), DOWN),
    **{f"chain-{n}": (OnChain(chain), UP) for n, chain in CHAIN.items()},
    "chain-whole": (OnChain(CHAIN[4000], whole=True), UP),
    "rescaled": (OnChain(CHAIN[100], scale=10.0), lambda i, n: 10 * i),
}


@pytest.mark.parametrize("tag", STATES)
def test_the_label_of_a_state_is_its_number(tag):
    """In float64 to rounding of n t; in float32 exactly where the number is rounded, else to rounding of n t, 4e-4."""
    labels, told = STATES[tag]
    i = np.arange(labels.n)
    times = labels.time(i)
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(labels.label(times), told(i, labels.n), atol=1e-8)
    single = labels.label(jnp.asarray(times, jnp.float32))
    np.testing.assert_allclose(single, told(i, labels.n), atol=0 if labels.whole else 4e-4 * max(1, tag == "rescaled"))


def test_labels_of_continuous_time():
    t = np.linspace(0.01, 1, 7)
    assert labels_of(VP()) == labels_of(SubVP()) == labels_of(CLD()) == Proportional(999.0)
    np.testing.assert_array_equal(Proportional(999.0).label(t), 999 * t)
    assert labels_of(CLD(), "velocity") == Proportional(1.0)
    np.testing.assert_allclose(NoiseLevel(VE()).label(t), 0.01 * 5000**t, rtol=1e-12)
    assert isinstance(labels_of(VE()), NoiseLevel)


@pytest.mark.parametrize("name", SDES)
def test_every_process_has_labels_in_continuous_time_and_of_states(name):
    """One per example, finite and rising with the noise, under jit; by VE's states they fall."""
    sde = SDES[name](image_shape=(4, 4))
    t = jnp.linspace(sde.t_min, sde.T, 20)
    for continuous in (True, False):
        labels = labels_of(sde, continuous=continuous)
        found = jax.jit(labels.label)(t)
        assert found.shape == t.shape and np.isfinite(found).all()
        falls = sde.exploding and not continuous
        assert (np.diff(-found if falls else found) > 0).all()


@pytest.mark.parametrize("objective", ["dsm", "simple"])
@pytest.mark.parametrize("steps", [100, 1000, 4000])
def test_training_covers_the_chain_whatever_its_length(steps, objective):
    """A global batch of as many examples as states sees each of them once, up to the first and the last, and the
    network is told their numbers."""
    config = cifar10_ddpm()
    config.sde.num_steps = steps
    config.training.objective = objective
    sde = SDES["vp"](schedule="discrete", num_steps=steps)
    made = get_objective(config, create_eps_net(config, None, sde))
    t, weights = made.weighted_times(made.init(), jax.random.key(0), jnp.arange(steps), steps)
    states = (np.arange(steps) + 1) / steps
    np.testing.assert_allclose(np.sort(t), states, rtol=1e-6)
    np.testing.assert_allclose(np.sort(made.eps_net.labels.label(t)), np.arange(steps), atol=1e-3)
    np.testing.assert_array_equal(weights, 1)


def test_a_process_without_a_chain_has_as_many_states_as_asked_for():
    config = get_config("ve", "ncsnpp")
    config.model.num_scales = 50
    config.training.continuous = False
    objective = get_objective(config, create_eps_net(config, None, VE()))
    t = objective.times(jax.random.key(0), jnp.arange(50), 50)
    np.testing.assert_allclose(np.sort(t), np.arange(50) / 49, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: labels_of(VP(schedule="discrete"), num_scales=4000), "chain, of 1000 states; leave it out"),
        (lambda: labels_of(VP(), rescale=True), "rescale_timesteps needs a discrete chain"),
        (lambda: labels_of(VP(), continuous=False, num_scales=1), "num_scales=1: at least 2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
