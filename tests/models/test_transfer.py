"""A network of one process under every other one, on mixtures whose eps is known under both."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.transfer import Transferred, direction, time_of
from sde_lib import SDES, Blur
from sde_lib.exact import mixture_eps

PROCESSES = {name: SDES[name](image_shape=(2, 3)) for name in SDES if name != "blur"}
PAIRS = list(itertools.permutations(PROCESSES, 2))
MEANS = np.random.default_rng(0).normal(size=(3, 2, 3, 1))
SHAPE = (6, 2, 3, 1)


def mixture(sde):
    return mixture_eps(sde, MEANS, [0.05, 0.2, 0.5], [0.5, 0.3, 0.2])


def states(own, sde, dtype):
    """(u, t) of noised data at times whose effective noise `own` knows."""
    low = max(float(direction(p, jnp.full(1, p.t_min))[1].squeeze()) for p in (own, sde))
    high = min(float(direction(p, jnp.full(1, p.T))[1].squeeze()) for p in (own, sde))
    sigma = jnp.asarray(np.geomspace(low * 1.01, high / 1.01, SHAPE[0]), dtype)
    t = time_of(sde, sigma, sde.t_min, sde.T)
    x = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), dtype)
    return sde.perturb(jax.random.key(2), sde.lift(x), t)[0].astype(dtype), t


@pytest.mark.parametrize(("own", "driven"), PAIRS)
def test_the_exact_network_of_one_process_is_that_of_the_other(own, driven, x64):
    own, sde = PROCESSES[own], PROCESSES[driven]
    u, t = states(own, sde, jnp.float64)
    carried = Transferred(mixture(own), own, sde, own.t_min, own.T)
    np.testing.assert_allclose(carried(u, t), mixture(sde)(u, t), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("own", "driven"), PAIRS)
def test_in_float32(own, driven):
    """To 1e-5 of the largest eps; with a velocity also to four roundings of u, which R^-1 multiplies by 1 / sigma."""
    own, sde = PROCESSES[own], PROCESSES[driven]
    u, t = states(own, sde, jnp.float32)
    carried = Transferred(mixture(own), own, sde, own.t_min, own.T)
    with jax.enable_x64(True):
        expected = mixture(sde)(jnp.asarray(np.asarray(u), jnp.float64), jnp.asarray(np.asarray(t), jnp.float64))
    sigma = np.asarray(direction(sde, t)[1]).reshape(-1, 1, 1, 1)
    rounding = 4 * 6e-8 * np.abs(u).max() / sigma if sde.k > 1 else 0
    assert (np.abs(carried(u, t) - expected) <= 1e-5 * np.abs(expected).max() + rounding).all()


def test_above_and_below_what_the_network_knows():
    """Far above, eps is what unit noise asks for; far below, the score stays that of the first level."""
    own, sde = PROCESSES["vp"], PROCESSES["edm"]
    carried = Transferred(mixture(own), own, sde, 0.05, 0.8)
    z = jax.random.normal(jax.random.key(0), SHAPE)
    first, last = (float(direction(own, jnp.full(1, s))[1].squeeze()) for s in (0.05, 0.8))
    t = jnp.full(len(z), 40 * last)
    gap = np.abs(carried(t[0] * z, t) - z).max()
    assert gap <= 3 / last  # what the data (a few units wide) still are beside the last noise
    x = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), jnp.float32)
    low = jnp.full(len(z), first)
    np.testing.assert_allclose(sde.score(carried(x, low / 10), low / 10), sde.score(carried(x, low), low), rtol=1e-3)


def test_blur_has_no_single_noise():
    with pytest.raises(ValueError, match="differs between frequencies"):
        Transferred(None, PROCESSES["vp"], Blur(image_shape=(2, 3)), 0.1, 1.0)
