"""The velocity as a prediction, losses in units of the network's output, and log-normal noise levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from models.eps_net import EpsNet
from sde_lib import EDM, SDES, VP, Blur, Flow, Trig, blocks
from sde_lib.exact import gaussian_eps
from tests.training.test_objectives import config
from training.objectives import get_objective

SHAPE = (5, 2, 4, 1)


class Says:
    """A network that answers f(u, label), in place of a Flax module."""

    dropout = 0.0

    def __init__(self, f):
        self.f = f

    def apply(self, variables, u, label, **options):
        return self.f(u)


@pytest.mark.parametrize("name", SDES)
def test_the_exact_velocity_gives_the_exact_eps(name, x64):
    """du/dt = F u + 1/2 G G^T R^-T eps; refused where a component has no noise of its own."""
    sde = SDES[name](image_shape=SHAPE[1:3])
    if name in ("cld", "hold"):
        with pytest.raises(ValueError, match="for processes with noise in every component"):
            EpsNet(None, sde, prediction="flow")
        return
    t = jnp.linspace(sde.t_min, sde.T, SHAPE[0])
    u = jax.random.normal(jax.random.key(0), (*SHAPE[:-1], sde.k), jnp.float64)
    exact = gaussian_eps(sde, jnp.zeros(SHAPE[1:]), 0.3)(u, t)
    source = 0.5 * blocks.matmul(sde.GGt(t), blocks.transpose(blocks.inverse(sde.R(t))))
    velocity = blocks.apply(sde.F(t), u) + blocks.apply(source, exact)
    net = EpsNet(Says(lambda _: sde.to_image(velocity)), sde, prediction="flow")
    np.testing.assert_allclose(net({}, u, t), exact, rtol=1e-9, atol=1e-9)


def draws(sde):
    """(x_0, eps, u, t) in float64."""
    x, eps = jax.random.normal(jax.random.key(1), (2, *SHAPE), jnp.float64)
    t = jnp.linspace(0.01, 0.9 * sde.T, SHAPE[0])
    return x, eps, sde.mean(x, t) + blocks.apply(sde.R(t), eps), t


def loss(sde, prediction, f, **training):
    """(loss of examples whose network says f, target eps, u and x_0) as training finds it, reduced by the mean."""
    x, eps, u, t = draws(sde)
    net = EpsNet(Says(lambda _: f), sde, prediction=prediction, sigma_data=0.6)
    return get_objective(config(output_weighting=True, **training), net).weigh(net({}, u, t) - eps, t)


def square(gap):
    return (gap**2).reshape(len(gap), -1).mean(1)


def test_the_loss_of_rectified_flow(x64):
    """|f - (eps - x_0)|^2 (arXiv:2209.03003, eq. 1)."""
    sde = Flow()
    x, eps, _, _ = draws(sde)
    f = jax.random.normal(jax.random.key(2), SHAPE, jnp.float64)
    np.testing.assert_allclose(loss(sde, "flow", f), square(f - (eps - x)), rtol=1e-9)


def test_the_loss_of_edm(x64):
    """lambda(sigma) |D - x_0|^2, lambda = (sigma^2 + sigma_d^2) / (sigma sigma_d)^2 (arXiv:2206.00364, table 1).

    EDM's F is -f: it predicts the image, f the noise.
    """
    x, _, u, t = draws(EDM())
    sigma, data = t.reshape(-1, 1, 1, 1), 0.6
    f = jax.random.normal(jax.random.key(2), SHAPE, jnp.float64)
    D = data**2 / (sigma**2 + data**2) * u + sigma * data / jnp.sqrt(sigma**2 + data**2) * -f
    weight = (sigma**2 + data**2) / (sigma * data) ** 2
    np.testing.assert_allclose(loss(EDM(), "edm", f), square(jnp.sqrt(weight) * (D - x)), rtol=1e-9)


def test_the_loss_of_trigflow(x64):
    """|sigma_d F - (cos a z - sin a x_0)|^2 / sigma_d^2 at a = pi t / 2, with data of variance sigma_d^2 in z's units
    (arXiv:2410.11081, eq. 4): EDM's preconditioning on this path, for sigma_d = 1."""
    sde = Trig()
    x, eps, u, t = draws(sde)
    a = (np.pi / 2 * t).reshape(-1, 1, 1, 1)
    net = EpsNet(Says(lambda _: jnp.cos(a) * eps - jnp.sin(a) * x), sde, prediction="edm", sigma_data=1.0)
    objective = get_objective(config(output_weighting=True), net)
    np.testing.assert_allclose(objective.weigh(net({}, u, t) - eps, t), 0, atol=1e-18)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "score", "edm", "edm_aligned", "flow"])
def test_a_change_of_the_output_costs_its_square(prediction, x64):
    """Whatever the output means: the loss of f* + d is the mean of d^2, f* the output whose loss is 0."""
    sde = VP()
    _, eps, u, t = draws(sde)
    slope = EpsNet(Says(jnp.ones_like), sde, prediction=prediction, sigma_data=0.6)({}, u, t)
    start = EpsNet(Says(jnp.zeros_like), sde, prediction=prediction, sigma_data=0.6)({}, u, t)
    target = (eps - start) / (slope - start)
    d = jax.random.normal(jax.random.key(3), SHAPE, jnp.float64)
    np.testing.assert_allclose(loss(sde, prediction, target + d), square(d), rtol=1e-6)


@pytest.mark.parametrize("prediction", ["edm", "edm_aligned"])
@pytest.mark.parametrize("name", SDES)
def test_the_loss_of_edm_under_every_process(name, prediction, x64):
    """(sigma^-2 + sigma_d^-2) |D - x_0|^2, shared by the k components, with sigma^-2 = mu^T Sigma^-1 mu for what u says
    of x_0 (by Blur of each frequency); D is the image that the predicted eps leaves of u."""
    sde, data = SDES[name](image_shape=SHAPE[1:3]), 0.6
    x = jax.random.normal(jax.random.key(1), SHAPE, jnp.float64)
    eps, f = jax.random.normal(jax.random.key(2), (2, *SHAPE[:-1], sde.k), jnp.float64)
    t = jnp.linspace(0.1, 0.9 * sde.T, SHAPE[0])
    u = sde.mean(sde.lift(x), t) + blocks.apply(sde.R(t), eps)
    net = EpsNet(Says(lambda _: sde.to_image(f)), sde, prediction=prediction, sigma_data=data)
    gap = net({}, u, t) - eps
    mu = sde.Psi(t, t * 0)[..., :, :1]
    error = (blocks.apply(sde.R(t), gap) / blocks.apply(mu, jnp.ones_like(x)))[..., :1]
    precision = blocks.matmul(blocks.transpose(mu), blocks.matmul(blocks.inverse(sde.Sigma(t)), mu))[..., 0]
    objective = get_objective(config(output_weighting=True), net)
    expected = square(jnp.sqrt(precision + 1 / data**2) * error) / sde.k
    np.testing.assert_allclose(objective.weigh(gap, t), expected, rtol=1e-6)


RATIO = {
    "edm": lambda t: t,
    "flow": lambda t: t / (1 - t),
    "trig": lambda t: np.tan(np.pi / 2 * t),
    "vp": lambda t: np.sqrt(np.expm1(0.1 * t + 19.9 * t**2 / 2)),
}


@pytest.mark.parametrize("name", RATIO)
def test_noise_levels_are_log_normal(name):
    """2,000 even quantiles of N(-0.4, 1): their mean and deviation lie within 1e-2, and no distance of their
    distribution from it exceeds 2 / 2,000; float32 costs less."""
    net = EpsNet(None, SDES[name]())
    objective = get_objective(config(P_mean=-0.4, P_std=1.0), net)
    t = np.asarray(objective.times(jax.random.key(3), jnp.arange(2000), 2000), np.float64)
    log_sigma = np.log(RATIO[name](t))
    assert stats.kstest(log_sigma, "norm", args=(-0.4, 1.0)).statistic < 1e-3
    assert abs(log_sigma.mean() + 0.4) < 1e-2 and abs(log_sigma.std() - 1) < 1e-2


def test_they_stay_within_the_times_of_training():
    objective = get_objective(config(t_min=0.01, P_mean=0.0, P_std=30.0), EpsNet(None, EDM(sigma_max=5.0)))
    t = objective.times(jax.random.key(0), jnp.arange(64), 64)
    assert t.min() == pytest.approx(0.01) and t.max() == pytest.approx(5.0) and np.isfinite(t).all()


@pytest.mark.parametrize(
    ("sde", "training", "message"),
    [
        (VP(), {"P_mean": 0.0}, "P_mean and P_std go together"),
        (Blur(image_shape=(4, 4)), {"P_mean": 0.0, "P_std": 1.0}, "differs between frequencies"),
        (SDES["pld"](), {"output_weighting": True}, "needs config.model.prediction=edm or edm_aligned"),
        (VP(), {"output_weighting": True, "likelihood_weighting": True}, "set one of them"),
    ],
)
def test_refusals(sde, training, message):
    with pytest.raises(ValueError, match=message):
        get_objective(config(**training), EpsNet(None, sde))
