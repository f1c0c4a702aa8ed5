"""Guidance at the border, what every sampler gets: of the class, by a classifier, by a weaker network, in intervals."""

import dataclasses
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from models.eps_net import EpsNet
from models.guidance import Guidance
from models.transfer import CarriedNet, direction
from samplers import get_sampler
from sde_lib import SDES, VP
from sde_lib.exact import mixture_eps
from tests.samplers.gaussian_images import as_matrix, dense


class Classes(nn.Module):
    """f = sin(x) + table[class], 0 without a class; second half: cos(x) (2 + class)."""

    dropout = 0.0

    @nn.compact
    def __call__(self, x, time_label, train=False, label=None):
        shift = self.param("shift", nn.initializers.ones, (3,))
        place = (slice(None), None, None, None)
        first = jnp.sin(x) + jnp.where(label >= 0, shift[jnp.maximum(label, 0)], 0.0)[place]
        return jnp.concatenate([first, jnp.cos(x) * (2 + label)[place]], axis=-1)


PARAMS = {"shift": jnp.array([0.1, -0.2, 0.3])}
LABEL = jnp.array([2, 0])
U, T = jax.random.normal(jax.random.key(0), (2, 4, 4, 1)), jnp.array([0.3, 0.8])


def net(prediction="eps"):
    return EpsNet(Classes(), VP(schedule="discrete"), prediction=prediction)


def test_scales_0_and_1_are_the_network_without_and_with_the_class():
    plain = net()(PARAMS, U, T, condition={"label": LABEL})
    np.testing.assert_allclose(net().bind(PARAMS, {"label": LABEL})(U, T), plain, rtol=1e-6)
    free = net()(PARAMS, U, T, condition={"label": jnp.full(2, -1)})
    np.testing.assert_allclose(net().bind(PARAMS, {"label": LABEL}, Guidance(0.0))(U, T), free, rtol=1e-6)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "previous", "score"])
def test_guided_eps_is_the_same_whatever_the_output_means(prediction):
    """eps without the class + w (difference), though what is guided is the output."""
    network = net(prediction)
    guided = network.bind(PARAMS, {"label": LABEL}, Guidance(3.0))(U, T)
    with_class, without = (network(PARAMS, U, T, condition={"label": label}) for label in (LABEL, jnp.full(2, -1)))
    expected = without + 3.0 * (with_class - without)
    np.testing.assert_allclose(guided, expected, atol=1e-4 * np.abs(expected).max())


def test_variances_are_those_with_the_class():
    output = net().bind(PARAMS, {"label": LABEL}, Guidance(5.0)).output(U, T)
    expected = jnp.cos(U) * (2 + LABEL)[:, None, None, None]
    np.testing.assert_allclose(output[..., 1:], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["gddim", "dpmpp_2m", "em"])
def test_samplers_take_it_as_any_eps_fn(method):
    """Guidance of scale w on a table is the table times w."""
    sampler = get_sampler(ConfigDict({"sampling": {"method": method, "nfe": 4}}), net().sde)
    guided = net().bind(PARAMS, {"label": LABEL}, Guidance(2.0))
    doubled = net().bind({"shift": 2 * PARAMS["shift"]}, {"label": LABEL})
    a, b = (sampler(eps_fn, jax.random.key(1), U).u for eps_fn in (guided, doubled))
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_guidance_needs_a_class():
    with pytest.raises(ValueError, match="config.sampling.guidance needs a class-conditional network"):
        net().bind(PARAMS, guidance=Guidance(2.0))


SHAPE = (2, 2, 1)
MEANS = 0.8 * np.random.default_rng(0).standard_normal((3, *SHAPE))
VARIANCES = np.array([0.3, 0.1, 0.5])
WEIGHTS = np.array([0.5, 0.2, 0.3])
OF_CLASS = slice(0, 2)  # the class is that of the first two of three Gaussians


def log_prob_of(sde):
    """log p(class | u, t) by Bayes' rule from dense covariances; all times of a batch are alike."""
    state = (*SHAPE[:-1], sde.k * SHAPE[-1])
    lift = dense(sde.lift, SHAPE)

    def log_prob(u, t):
        Psi, Sigma = (as_matrix(block, state) for block in (sde.Psi(t[:1], t[:1] * 0), sde.Sigma(t[:1])))
        logs = [
            jnp.log(w)
            + jax.scipy.stats.multivariate_normal.logpdf(
                u.reshape(len(u), -1), Psi @ lift @ m.reshape(-1), Psi @ (v * lift @ lift.T) @ Psi.T + Sigma
            )
            for m, v, w in zip(MEANS, VARIANCES, WEIGHTS, strict=True)
        ]
        every = jax.nn.logsumexp(jnp.stack(logs), axis=0)
        return jax.nn.logsumexp(jnp.stack(logs[OF_CLASS]), axis=0) - every

    return log_prob


@dataclasses.dataclass(frozen=True)
class Known(EpsNet):
    """A network whose output is this eps."""

    eps_fn: Callable = None

    def output(self, params, u, t, keys=None, condition=None):
        return self.eps_fn(u, t)


def mixture(sde, chosen=slice(None)):
    """The eps of some of the Gaussians."""
    return mixture_eps(sde, MEANS[chosen], VARIANCES[chosen], WEIGHTS[chosen] / WEIGHTS[chosen].sum())


def guided(sde, **guidance):
    return Known(None, sde, eps_fn=mixture(sde)).bind({}, {}, Guidance(**guidance))


def states(sde, n=2, at=0.4):
    u = jax.random.normal(jax.random.key(3), (n, *SHAPE[:-1], sde.k * SHAPE[-1]), jnp.float64)
    return u, jnp.full(n, at * sde.T)


@pytest.mark.parametrize("process", SDES)
def test_the_exact_classifier_makes_eps_that_of_the_class(process, x64):
    """To rounding: score(u | y) = score(u) + grad log p(y | u), with R a matrix where there is a velocity."""
    sde = SDES[process](image_shape=SHAPE[:2])
    u, t = states(sde)
    found = guided(sde, log_prob=log_prob_of(sde))(u, t)
    wanted, free = mixture(sde, OF_CLASS)(u, t), mixture(sde)(u, t)
    assert np.abs(wanted - free).max() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
    twice = guided(sde, log_prob=log_prob_of(sde), classifier_scale=2.0)(u, t)
    np.testing.assert_allclose(twice - free, 2 * (wanted - free), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("process", "method"), [("vp", "ddpm"), ("vp", "ddim"), ("ve", "pc"), ("cld", "gddim"), ("hold", "em")]
)
def test_samplers_with_the_exact_classifier_draw_the_class(process, method, x64):
    """The same states as with the eps of the class, step by step; rounding grows over the steps, hence 1e-8."""
    sde = SDES[process](image_shape=SHAPE[:2])
    sampler = get_sampler(ConfigDict({"sampling": {"method": method, "nfe": 4}}), sde)
    u_T = sde.prior(jax.random.key(5), (2, *SHAPE)).astype(jnp.float64)
    pair = guided(sde, log_prob=log_prob_of(sde)), mixture(sde, OF_CLASS)
    found, wanted = (sampler(eps_fn, jax.random.key(1), u_T).u for eps_fn in pair)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.parametrize(("own", "process"), [("vp", "cld"), ("hold", "flow")])
def test_a_network_of_another_process_is_guided_under_its_own(own, process, x64):
    """By a classifier and by a weaker network of its process, at noise in the interval; bisection rounds."""
    own, sde = SDES[own](), SDES[process]()
    net = CarriedNet(Known(None, own, eps_fn=mixture(own)), sde, own.t_min)
    u, t = states(sde)
    sigma = float(direction(sde, t)[1][0].item())
    free, given, weak = (mixture(sde, chosen)(u, t) for chosen in (slice(None), OF_CLASS, slice(2, 3)))
    terms = {"log_prob": log_prob_of(own), "guide": mixture(own, slice(2, 3)), "guide_scale": 2.5}
    assert np.abs(given - free).max() > 1e-3 and np.abs(weak - free).max() > 1e-3
    for interval, wanted in (
        ((0.99 * sigma, 1.01 * sigma), weak + 2.5 * (free - weak) + given - free),
        ((1.01 * sigma, math.inf), free),
    ):
        found = net.bind({}, {}, Guidance(**terms, interval=interval))(u, t)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8)


@pytest.mark.parametrize("process", ["vp", "cld", "blur"])
def test_outside_the_interval_the_network_is_as_it_is(process, x64):
    sde = SDES[process](image_shape=SHAPE[:2])
    u, t = states(sde)
    psi, Sigma = np.asarray(sde.Psi(t, t * 0))[0, 0, 0, :, :1], np.asarray(sde.Sigma(t))[0, 0, 0]
    sigma = (psi.T @ np.linalg.inv(Sigma) @ psi).item() ** -0.5
    terms = {"log_prob": log_prob_of(sde), "guide": mixture(sde, OF_CLASS), "guide_scale": 2.0}
    free, everywhere = mixture(sde)(u, t), guided(sde, **terms)(u, t)
    for interval in ((0.0, 0.99 * sigma), (1.01 * sigma, math.inf)):
        np.testing.assert_array_equal(guided(sde, **terms, interval=interval)(u, t), free)
    found = guided(sde, **terms, interval=(0.99 * sigma, 1.01 * sigma))(u, t)
    np.testing.assert_allclose(found, everywhere, rtol=1e-12)


def test_the_interval_holds_for_the_class_and_for_each_example():
    """Of two times one is inside: that example is guided, the other is not."""
    sigma = np.sqrt(np.expm1(-np.log(np.asarray(net().sde.Psi(T, 0 * T))[:, 0, 0, 0, 0] ** 2)))  # sigma / alpha of VP
    interval = (0.0, float(sigma.mean()))
    found = net().bind(PARAMS, {"label": LABEL}, Guidance(3.0, interval=interval))(U, T)
    inside, outside = (net().bind(PARAMS, {"label": LABEL}, Guidance(w))(U, T) for w in (3.0, 1.0))
    np.testing.assert_allclose(found[0], inside[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], outside[1], rtol=1e-5)


def test_the_guide_is_left_behind(x64):
    """eps_guide + w (eps - eps_guide), beside the classifier."""
    sde = SDES["cld"]()
    u, t = states(sde)
    weak, eps, given = (f(u, t) for f in (mixture(sde, slice(2, 3)), mixture(sde), mixture(sde, OF_CLASS)))
    told = {"guide": mixture(sde, slice(2, 3)), "guide_scale": 2.5}
    np.testing.assert_allclose(guided(sde, **told)(u, t), weak + 2.5 * (eps - weak), rtol=1e-12)
    both = guided(sde, **told, log_prob=log_prob_of(sde))(u, t)
    np.testing.assert_allclose(both, weak + 2.5 * (eps - weak) + given - eps, rtol=0, atol=1e-10)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "previous"])
def test_the_chain_is_shown_the_guided_eps_and_the_variances_of_the_network(prediction):
    network = net(prediction)
    told = {"label": LABEL}
    bound = network.bind(PARAMS, told, Guidance(guide=lambda u, t: 0.5 * u, guide_scale=2.0))
    wanted = 2 * network(PARAMS, U, T, condition=told) - 0.5 * U
    assert bound.prediction == "eps"
    np.testing.assert_allclose(bound.output(U, T)[..., :1], wanted, atol=1e-5 * np.abs(wanted).max())
    plain = network.bind(PARAMS, told).output(U, T)
    np.testing.assert_array_equal(bound.output(U, T)[..., 1:], plain[..., 1:])
