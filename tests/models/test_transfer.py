"""A network of one process under every other one, on mixtures whose eps is known under both."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.eps_net import EpsNet
from models.labels import labels_of
from models.transfer import CarriedNet, Transferred, direction, level, time_of
from samplers import coefficients, grids
from samplers.ancestral import DDIM, Ancestral
from samplers.exponential import integrate
from sde_lib import SDES, VP, Blur, blocks
from sde_lib.exact import mixture_eps

PROCESSES = {name: SDES[name](image_shape=(2, 3)) for name in SDES if name != "blur"}
# Either half of a pair meets every kind of process: those with velocities with all others, and each with its neighbour.
ROUND = list(itertools.pairwise([*PROCESSES, "vp"]))
PAIRS = [pair for pair in itertools.permutations(PROCESSES, 2) if {"cld", "hold"} & {*pair} or pair in ROUND]
MEANS = np.random.default_rng(0).normal(size=(3, 2, 3, 1))
SHAPE = (6, 2, 3, 1)


def mixture(sde):
    return mixture_eps(sde, MEANS, [0.05, 0.2, 0.5], [0.5, 0.3, 0.2])


@functools.cache
def noises(sde):
    """The effective noise of a process at its first and last time."""
    return np.asarray(direction(sde, jnp.asarray([sde.t_min, sde.T]))[1]).reshape(2)


def states(own, sde, dtype):
    """(u, t) of noised data at times whose effective noise `own` knows."""
    (low, high), (others_low, others_high) = noises(own), noises(sde)
    sigma = jnp.asarray(np.geomspace(max(low, others_low) * 1.01, min(high, others_high) / 1.01, SHAPE[0]), dtype)
    x = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE), dtype)
    t = time_of(sde, sigma, sde.t_min, sde.T)
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
        expected = mixture(sde)(*(jnp.asarray(np.asarray(a), jnp.float64) for a in (u, t)))
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


def test_above_it_the_predicted_image_is_that_of_the_last_level(x64):
    own, sde, last, rho = PROCESSES["vp"], PROCESSES["edm"], 0.8, 40
    s = jnp.full(SHAPE[0], last)
    sigma = rho * direction(own, s)[1].reshape(-1)
    y = level(sigma, jnp.ones(SHAPE)) * jax.random.normal(jax.random.key(0), SHAPE, jnp.float64)
    u = own.mean(y / rho, s)
    image = blocks.apply(own.Psi(0 * s, s), u - blocks.apply(own.R(s), mixture(own)(u, s)))
    eps = Transferred(mixture(own), own, sde, 0.05, last)(y, sigma)
    np.testing.assert_allclose(y - level(sigma, y) * eps, image, atol=1e-9)


WIDE = VP(beta_max=25.0)  # knows more noise than any other process begins with


@pytest.mark.parametrize("driven", ["cld", "hold", "ve"])
def test_samplers_keep_their_order(driven, x64):
    """gDDIM of order 2 with and without the border: twice the steps, an eighth of the error (2.7 to 3.3 halvings)."""
    sde = PROCESSES[driven]
    carried = Transferred(mixture(WIDE), WIDE, sde, 1e-6, WIDE.T)
    u_T = sde.prior(jax.random.key(3), SHAPE).astype(jnp.float64)

    def final(eps_fn, steps):
        return integrate(eps_fn, u_T, coefficients.multistep(sde, grids.log_snr(sde, steps), 2))[0]

    fine = final(mixture(sde), 1600)
    error = [np.sqrt(((final(carried, n) - fine) ** 2).mean()) for n in (200, 400)]
    assert 2.5 < np.log2(error[0] / error[1]) < 3.5


class Toy:
    """A network of a chain, told its step: any function will do. learned: whether it says variances as well."""

    learn_sigma = False

    def __init__(self, learned=False):
        self.learned = learned

    def apply(self, variables, u, label, **options):
        f = jnp.sin(1.3 * u + label.reshape(-1, 1, 1, 1) / 300)
        return jnp.concatenate([f, jnp.cos(3 * u)], -1) if self.learned else f


def test_a_chain_under_continuous_time_takes_the_steps_of_its_own_ddim(x64):
    """At times of the same noise, from the same start: a chain of 20 of 1000 steps, its last one to the image."""
    own, sde = VP(schedule="discrete"), VP(beta_max=21.0)
    net = EpsNet(Toy(), own, labels=labels_of(own, continuous=False))
    ddim = DDIM(own, respacing="20", clip_denoised=False)
    x_T = jax.random.normal(jax.random.key(0), SHAPE, jnp.float64)
    wanted = ddim(net.bind(None), jax.random.key(0), x_T).u

    sigma = direction(own, jnp.asarray(ddim.times[::-1]))[1].reshape(-1)
    times = np.asarray(time_of(sde, sigma, sde.t_min / 10, sde.T))
    rows = coefficients.append(coefficients.multistep(sde, times, 0), coefficients.denoising(sde, times[-1]))
    carried = CarriedNet(net, sde, net.begin(1e-5, True)).bind(None)
    start = sde.Psi(times[0], 0.0)[0, 0] / own.Psi(ddim.times[-1], 0.0)[0, 0] * x_T
    np.testing.assert_allclose(integrate(carried, start, rows)[0], wanted, rtol=0, atol=1e-8)


@pytest.mark.parametrize("variance", ["fixed_small", "learned_range"])
def test_reverse_steps_keep_their_variance(variance, x64):
    """Carried to the very chain that it is of, a network draws the samples that it drew."""
    own = VP(schedule="discrete")
    net = EpsNet(Toy(variance == "learned_range"), own, variance=variance)
    carried = CarriedNet(net, VP(schedule="discrete"), net.begin(1e-5, True))
    x_T = jax.random.normal(jax.random.key(0), SHAPE, jnp.float64)
    found, wanted = (Ancestral(own, nfe=12)(n.bind(None), jax.random.key(1), x_T).u for n in (carried, net))
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert carried.bind(None).variance == variance


def test_log_variances_of_another_chain_are_not_taken():
    net = EpsNet(Toy(True), VP(schedule="discrete"), variance="learned")
    assert CarriedNet(net, VP(), 1e-3).variance == "fixed_large"


def test_the_flow_begins_where_the_network_knows_the_noise():
    net = EpsNet(None, VP())
    begin = CarriedNet(net, PROCESSES["edm"], 0.01).begin(0.01, False)
    assert begin == pytest.approx(float(direction(VP(), jnp.full(1, 0.01))[1].squeeze()), rel=1e-5)  # sigma is time


def test_blur_has_no_single_noise():
    with pytest.raises(ValueError, match="differs between frequencies"):
        Transferred(None, PROCESSES["vp"], Blur(image_shape=(2, 3)), 0.1, 1.0)
