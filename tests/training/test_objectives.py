"""Losses and their gradients against gDDIM's and score_sde's own code, and the loss of the exact network."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import default
from models import create_model
from models.eps_net import EpsNet, create_eps_net
from models.labels import Proportional, labels_of
from models.predictions import alignment, preconditioning
from sde_lib import CLD, SDES, VE, VP, SubVP, blocks, get_sde
from sde_lib.exact import gaussian_eps
from training.objectives import OBJECTIVES, get_objective


def config(**training):
    base = {"objective": "dsm", "t_min": 1e-5, "reduce_mean": True, "likelihood_weighting": False}
    base |= {"output_weighting": False, "P_mean": None, "P_std": None}
    return ConfigDict({"training": base | training})


class Linear(nn.Module):
    """The golden toy: out = x A + b + c label."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, label, train=False):
        n = x.shape[-1]
        A, b = self.param("A", nn.initializers.zeros, (n, n)), self.param("b", nn.initializers.zeros, (n,))
        c = self.param("c", nn.initializers.zeros, ())
        return x @ A + b + c * label[:, None, None, None]


def loss_and_gradient(eps_net, settings, params, x, z, t):
    """Mean loss and gradient for the given noise instead of a key."""
    objective = get_objective(config(**settings), eps_net)

    def loss(params):
        u = eps_net.sde.mean(eps_net.sde.lift(x), t) + blocks.apply(eps_net.sde.R(t), z)
        return objective.weigh(eps_net(params, u, t) - z, t).mean()

    return jax.value_and_grad(loss)(params)


def check_against(g, tag, eps_net, settings, z, rtol):
    params = {name: jnp.asarray(g[name]) for name in "Abc"}
    x, t = jnp.asarray(g["batch"]), jnp.asarray(g["t"])
    loss, grads = loss_and_gradient(eps_net, settings, params, x, jnp.asarray(z), t)
    np.testing.assert_allclose(loss, g[f"loss_{tag}"], rtol=rtol)
    for name in "Abc":
        expected = g[f"grad_{name}_{tag}"]
        np.testing.assert_allclose(grads[name], expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("mean", [0, 1])
@pytest.mark.parametrize("weighting", [0, 1])
@pytest.mark.parametrize("name", ["vp", "subvp", "ve"])
def test_score_sde_losses(golden, name, weighting, mean, x64):
    g = golden("jax/sde_losses.npz")
    parameters = json.loads(str(g["config_json"]))[name]
    parameters.pop("N")
    sde = {"vp": VP, "subvp": SubVP, "ve": VE}[name](**parameters)
    eps_net = EpsNet(Linear(), sde, prediction="score" if name == "ve" else "eps")
    settings = {"reduce_mean": bool(mean), "likelihood_weighting": bool(weighting)}
    check_against(g, f"{name}_mean{mean}_lw{weighting}", eps_net, settings, g["z"], 1e-8)


@pytest.mark.parametrize("mean", [0, 1])
def test_score_sde_discrete_vp_loss(golden, mean, x64):
    """The DDPM loss: betas of 1000 states, integer labels."""
    g = golden("jax/sde_losses.npz")
    sde = VP(schedule="discrete", beta_min=0.1, beta_max=20.0)
    labels = jnp.asarray(g["labels_vp_legacy"])
    eps_net = EpsNet(Linear(), sde, labels=labels_of(sde, continuous=False))
    g["t"] = np.asarray(eps_net.labels.time(labels))
    np.testing.assert_allclose(eps_net.labels.label(jnp.asarray(g["t"])), labels, atol=1e-9)
    check_against(g, f"vplegacy_mean{mean}", eps_net, {"reduce_mean": bool(mean)}, g["z_vp_legacy"], 1e-8)


@pytest.mark.parametrize("mean", [0, 1])
def test_score_sde_discrete_ve_loss(golden, mean, x64):
    """The SMLD loss: geometric noise levels, integer labels from the largest level down."""
    g = golden("jax/sde_losses.npz")
    sde = VE()
    labels = jnp.asarray(g["labels_ve_legacy"])
    eps_net = EpsNet(Linear(), sde, prediction="score", labels=labels_of(sde, "score", continuous=False))
    g["t"] = np.asarray(eps_net.labels.time(999 - labels))
    np.testing.assert_array_equal(eps_net.labels.label(jnp.asarray(g["t"])), labels)
    check_against(g, f"velegacy_mean{mean}", eps_net, {"reduce_mean": bool(mean)}, g["z_ve_legacy"], 1e-8)


@pytest.mark.parametrize("mean", [0, 1])
def test_cld_loss_of_gddim(golden, mean, x64):
    g = golden("jax/cld_loss.npz")
    z = np.concatenate([g["z"][..., 0], g["z"][..., 1]], axis=-1)
    check_against(g, f"mean{mean}", EpsNet(Linear(), CLD()), {"reduce_mean": bool(mean)}, z, 1e-6)


class Exact:
    """An EpsNet whose network is the exact eps of Gaussian data."""

    labels = Proportional()
    prediction = "eps"

    def __init__(self, sde, shape, variance):
        self.sde, self.eps_fn = sde, gaussian_eps(sde, jnp.zeros(shape), variance)

    def __call__(self, params, u, t, keys=None, condition=None):
        return self.eps_fn(u, t)


@pytest.mark.parametrize("name", SDES)
def test_the_loss_of_the_exact_network_is_the_variance_it_cannot_explain(name):
    """E|eps_net - eps|^2 = tr(I - R^T P^-1 R), P the covariance of u_t; mean over 4096 draws at one time."""
    shape, variance, t_0 = (2, 4, 1), 0.3, 0.3
    sde = SDES[name](image_shape=shape[:2])
    objective = get_objective(config(reduce_mean=False), Exact(sde, shape, variance))
    x = np.sqrt(variance) * jax.random.normal(jax.random.key(0), (4096, *shape))
    keys = jax.random.split(jax.random.key(1), 4096)
    losses = objective.losses(None, x, keys, jnp.full(4096, t_0))
    Psi, R, Sigma = sde.Psi(t_0, 0.0), sde.R(t_0), sde.Sigma(t_0)
    C = np.diag([variance] + [0.0] * (sde.k - 1))
    P = Psi @ C @ Psi.swapaxes(-1, -2) + Sigma
    rest = np.eye(sde.k) - R.swapaxes(-1, -2) @ np.linalg.inv(P) @ R
    rest = np.broadcast_to(rest, (*shape[:2], sde.k, sde.k))
    expected = 0.5 * np.trace(rest, axis1=-2, axis2=-1).sum() * shape[2]
    assert abs(float(losses.mean()) - expected) < 5 * float(losses.std()) / 64  # five standard errors


@pytest.mark.parametrize("chain", [0, 1000])
def test_times_are_even_over_the_batch_and_start_at_t_min(chain):
    labels = labels_of(VP(), continuous=not chain)
    objective = get_objective(config(), EpsNet(Linear(), VP(), labels=labels))
    t = np.sort(objective.times(jax.random.key(3), jnp.arange(64), 64))
    assert t[0] >= (0 if chain else 1e-5) and t[-1] <= 1
    np.testing.assert_allclose(np.diff(t), 1 / 64, atol=1.1e-3 if chain else 2e-6)


class Silent(nn.Module):
    """A network that has learned nothing yet: 0."""

    dropout: float = 0.0

    def __call__(self, x, label, train=False):
        return 0 * x


@pytest.mark.parametrize("prediction", ["edm", "edm_aligned"])
@pytest.mark.parametrize("name", SDES)
def test_edm_preconditioning_is_exact_for_gaussian_data(name, prediction, x64):
    """With f = 0, eps is that of N(0, sigma_data^2); and M M^T is what R^T P^-1 R leaves of the identity."""
    sde = SDES[name](image_shape=(2, 4))
    net = EpsNet(Silent(), sde, prediction=prediction, sigma_data=0.6)
    t = jnp.array([sde.t_min, 0.01, 0.3, 0.9])
    u = jax.random.normal(jax.random.key(0), (4, 2, 4, sde.k), jnp.float64)
    exact = gaussian_eps(sde, jnp.zeros((2, 4, 1)), 0.6**2)(u, t)
    np.testing.assert_allclose(net({}, u, t), exact, rtol=1e-6, atol=1e-9)
    skip, out, _ = (preconditioning if prediction == "edm" else alignment)(sde, 0.6, t)
    left = jnp.eye(sde.k) - blocks.matmul(skip, sde.R(t))
    np.testing.assert_allclose(blocks.matmul(out, blocks.transpose(out)), left, atol=1e-8)


@pytest.mark.parametrize("name", SDES)
def test_the_aligned_input_is_white_and_holds_the_data_in_its_first_component(name, x64):
    """D' P D'^T = I, of D' Psi (x_0, 0) nothing but the first component differs from 0, and for k = 1 D' is EDM's D."""
    sde = SDES[name](image_shape=(2, 4))
    t = np.array([sde.t_min, 0.01, 0.3, 0.9])
    _, out, scale = alignment(sde, 0.6, t)
    Psi, C = sde.Psi(t, 0 * t), np.diag([0.6**2] + [0.0] * (sde.k - 1))
    P = Psi @ C @ Psi.swapaxes(-1, -2) + sde.Sigma(t)
    # relative to the largest terms of R^-1 P R^-T, about 0.36 / Sigma_xx(t_min): 1e6 times float64's rounding for CLD
    np.testing.assert_allclose(scale @ P @ scale.swapaxes(-1, -2), np.broadcast_to(np.eye(sde.k), P.shape), atol=1e-8)
    np.testing.assert_allclose((scale @ Psi)[..., 1:, 0], 0, atol=1e-8)
    np.testing.assert_array_equal(out[..., 1:], 0)
    if sde.k == 1:
        for ours, edm in zip(alignment(sde, 0.6, t), preconditioning(sde, 0.6, t), strict=True):
            np.testing.assert_allclose(ours, edm, rtol=1e-12)


def test_mixed_score_adds_the_velocity_term():
    sde = CLD()
    u = jax.random.normal(jax.random.key(0), (3, 2, 2, 4))
    t = jnp.array([0.1, 0.5, 0.9])
    params = {"A": jnp.eye(4), "b": jnp.zeros(4), "c": jnp.zeros(())}
    plain, mixed = (EpsNet(Linear(), sde, mixed_score=m)(params, u, t) for m in (False, True))
    R_inverse = np.linalg.inv(sde.R(np.asarray(t))[:, 0, 0])
    v = np.asarray(u)[..., 2:]
    expected = np.concatenate([R_inverse[:, None, None, 0, 1, None] * v, R_inverse[:, None, None, 1, 1, None] * v], -1)
    np.testing.assert_allclose(mixed - plain, expected, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsNet(Linear(), VP(), prediction="noise"), "'noise' is unknown.*choose from eps"),
        (lambda: EpsNet(Linear(), VP(), mixed_score=True), "is for a process with a velocity"),
        (lambda: EpsNet(Linear(), SDES["hold"](), mixed_score=True), "is for a process with a velocity"),
        (lambda: EpsNet(Linear(), SDES["hold"](), prediction="velocity"), "is for a process with one"),
        (lambda: get_objective(config(objective="dsn"), EpsNet(Linear(), VP())), "'dsn' is unknown.*choose from dsm"),
    ],
)
def test_bad_settings_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


NETWORKS = ({}, {"variance": "learned_range"}, {"prediction": "direct", "concat": True}, {"prediction": "class"})


class Doubled(nn.Module):
    """A network of points that gives the variance as well."""

    @nn.compact
    def __call__(self, x, label, train=False):
        return nn.Dense(2 * x.shape[-1])(jnp.concatenate([x, label[:, None]], 1))


class Classifying(Doubled):
    """A classifier of points, of four classes."""

    classifies = True


def with_a_network(name):
    """(the objective with the first of NETWORKS that it takes, parameters for points), with defaults elsewhere."""
    refused = []
    for changes in NETWORKS:
        settings = default.get_config("vp", "mlp")
        settings.sde.update(schedule="discrete", num_steps=100)
        settings.model.update(nf=8, num_res_blocks=1, **changes)
        settings.training.objective = name
        try:
            module = Doubled() if "variance" in changes else create_model(settings)
            module = Classifying() if "class" in changes.values() else module
            eps_net = create_eps_net(settings, module, get_sde(settings))
            return get_objective(settings, eps_net), jax.jit(lambda net=eps_net: net.init(jax.random.key(0), (2,)))()
        except ValueError as error:
            refused.append(str(error))
    raise AssertionError(refused)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_treats_an_example_by_itself(name):
    """Neither its time nor its loss depends on the others that are on its device; times are those of the objective."""
    objective, params = with_a_network(name)
    assert {*objective.config_keys} <= default.training().keys()
    position, part = jnp.arange(6), slice(2, 4)
    x, keys = jax.random.normal(jax.random.key(1), (6, 2)), jax.random.split(jax.random.key(2), 6)
    t, weights = objective.weighted_times(objective.init(), jax.random.key(3), position, 6)
    own = objective.weighted_times(objective.init(), jax.random.key(3), position[part], 6)
    np.testing.assert_array_equal(own, (t[part], weights[part]))
    assert ((objective.t_min <= t) & (t <= objective.t_max)).all()
    label, by_class = jnp.arange(6) % 4, "accuracy" in objective.by_time

    @jax.jit
    def losses_of(x, keys, t, label):
        condition = {"label": label} if by_class else None
        return objective.losses(params, x, keys, t, train=False, condition=condition)

    losses = losses_of(x, keys, t, label)
    assert losses.std() > 0
    # float32 sums of two rows and of six differ in their order
    own = losses_of(x[part], keys[part], t[part], label[part])
    np.testing.assert_allclose(own, losses[part], rtol=1e-4)
