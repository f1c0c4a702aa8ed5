"""DDDM's losses and map against its authors' code, and training in which everything is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from devices.parallel import AXIS
from models import lpips
from models.eps_net import EpsNet
from models.lpips_weights import parameters
from samplers.fixed_point import FixedPoint
from sde_lib import CLD, VE, VP, Blur
from tests.models.test_lpips import make_state
from training.objectives import get_objective
from training.objectives.dddm import pseudo
from training.state import TrainState
from training.step import make_train_step

PROCESSES = {"vp": VP(schedule="discrete", beta_min=0.1, beta_max=20.0, num_steps=1000), "ve": VE()}


class Toy(nn.Module):
    """The golden toy: F(x, t, c) = a sin(1.3 x + 0.001 t) + b c."""

    concat: bool = True

    @nn.compact
    def __call__(self, x, label, train=False, context=None):
        a, b = self.param("a", nn.initializers.constant(0.5), ()), self.param("b", nn.initializers.constant(0.3), ())
        return a * jnp.sin(1.3 * x + 0.001 * label.reshape(-1, *(1,) * (x.ndim - 1))) + b * context


PARAMS = {"a": jnp.float32(0.5), "b": jnp.float32(0.3)}


def net(name):
    return EpsNet(Toy(), PROCESSES[name], prediction="direct")


def objective(eps_net, **changes):
    training = {"objective": "dddm", "loss": "mse", "loss_c": 1.4e-4, "guide_floor": 0.0}
    training |= {"lpips_net": "vgg", "lpips_path": ""} | changes
    return get_objective(ConfigDict({"training": training, "data": {"centered": True}}), eps_net)


def tolerance(name, t):
    """Of the manifest: sin(1.3 x) loses digits where x is large, for VE in proportion to sigma^2 (per sample)."""
    if name == "vp":
        return np.full(t.shape, 1e-5)
    return 1e-5 * np.maximum(1, np.asarray(PROCESSES["ve"].sigma(t / 999)) ** 2)


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_the_map_and_its_distances(golden, name):
    g = golden("torch/dddm_steps.npz")
    eps_net, t = net(name), g[f"{name}.t"]
    times = jnp.asarray(eps_net.labels.time(t), jnp.float32)
    np.testing.assert_array_equal(eps_net.labels.label(times), t)
    x_t, f = g[f"{name}.q_sample"], g[f"{name}.f"]
    bound = eps_net.bind(PARAMS)
    estimates = np.asarray(bound.direct(jnp.asarray(g["condition"]), jnp.asarray(x_t), times))
    for ours, theirs, atol in zip(estimates, f, tolerance(name, t), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=atol)
    for part, target in (("guide", g["x_start"]), ("iter", g["condition"])):
        square = jnp.asarray(f - target) ** 2
        np.testing.assert_allclose(square.reshape(4, -1).mean(1), g[f"{name}.mse.{part}"], rtol=1e-4, atol=1e-9)
        for c in ("1.4e-4", "0.03"):
            np.testing.assert_allclose(pseudo(square, float(c)), g[f"{name}.ph{c}.{part}"], rtol=1e-5, atol=1e-6)


def test_vp_noises_images_as_its_authors_do(golden):
    g = golden("torch/dddm_steps.npz")
    sde, t = PROCESSES["vp"], (g["vp.t"] + 1) / 1000
    np.testing.assert_allclose(
        sde.Psi(t, 0.0)[..., 0] * g["x_start"] + sde.R(t)[..., 0] * g["noise"], g["vp.q_sample"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_sampling_iterates_the_map_at_the_last_trained_step(golden, name):
    """Their loop (at index 1000, one past the last) by our map; and our sampler, at index 999, by their map."""
    g = golden("torch/dddm_steps.npz")
    x_T, bound = jnp.asarray(g["x_T"]), net(name).bind(PARAMS)
    one_past = jnp.full(4, 1.001 if name == "vp" else 1000 / 999)
    x_hat = jnp.asarray(g["x_bar"])
    if name == "vp":  # VE's kappa of the authors stays that of the last step
        for expected in g["vp.multi_step_T1000"]:
            x_hat = jnp.clip(bound.direct(x_hat, x_T, one_past), -1, 1)
            np.testing.assert_allclose(x_hat, expected, rtol=1e-5, atol=1e-5)
    last = jnp.full(4, 1.0)
    one = jnp.clip(bound.direct(jnp.asarray(g["x_bar"]), x_T, last), -1, 1)
    np.testing.assert_allclose(one, g[f"{name}.p_sample_T999"], rtol=1e-5, atol=1e-5)
    samples = FixedPoint(PROCESSES[name], nfe=3, trajectory=True)(bound, jax.random.key(0), x_T)
    for before, after in zip(samples.trajectory["x_0"], samples.trajectory["x_0"][1:], strict=False):
        np.testing.assert_allclose(jnp.clip(bound.direct(before, x_T, last), -1, 1), after, atol=1e-6)


CASES = {
    "vp_mse_e0": {},
    "vp_ph_e1": {"loss": "pseudo_huber"},
    "ve_ph_e9": {"loss": "pseudo_huber", "loss_c": 0.03},
}


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_of_a_step(golden, case, monkeypatch):
    """The authors noise VE with sigma^2; given their x_t, everything that follows agrees."""
    g = golden("torch/dddm_train_step.npz")
    name, _, epoch = case.split("_")
    eps_net, t, x = net(name), g[f"{case}.t"], jnp.asarray(g["batch"])
    sde, times = eps_net.sde, jnp.asarray(eps_net.labels.time(t), jnp.float32)
    R = sde.R(times)[..., 0] if name == "vp" else sde.Sigma(times)[..., 0]
    x_t = sde.Psi(times, 0 * times)[..., 0] * x + R * g["noise"]
    monkeypatch.setattr(type(sde), "perturb", lambda self, key, u_0, t: (x_t, None))
    x_hat = jnp.asarray(g["x_bar_before"][g["index"]])
    estimates = {"x_hat": x_hat, "epoch": jnp.full(4, int(epoch[1:]))}
    examined = objective(eps_net, **CASES[case]).examine

    def mean_loss(params):
        losses, seen = examined(params, x, jax.random.split(jax.random.key(0), 4), times, estimates=estimates)
        return losses.mean(), seen

    (loss, seen), grads = jax.value_and_grad(mean_loss, has_aux=True)(PARAMS)
    np.testing.assert_allclose(loss, g[f"{case}.loss"], rtol=1e-5)
    for parameter in "ab":
        np.testing.assert_allclose(grads[parameter], g[f"{case}.grad_{parameter}"], rtol=1e-4)
    np.testing.assert_allclose(seen["change"], jnp.abs(seen["estimate"] - x_hat).mean((1, 2, 3)), rtol=1e-6)


def test_the_adaptive_distance_is_the_pseudo_huber_of_a_shrinking_c():
    a, b = jax.random.normal(jax.random.key(0), (2, 3, 2, 2, 1))
    adaptive = objective(net("vp"), loss="adaptive_pseudo_huber", loss_c=0.6).distance(a, b, jnp.array([0, 1, 5]))
    for i, c in enumerate((0.6, 0.3, 0.1)):
        fixed = objective(net("vp"), loss="pseudo_huber", loss_c=c).distance(a, b, jnp.zeros(3))
        np.testing.assert_allclose(adaptive[i], fixed[i], rtol=1e-6)


def test_pseudo_lpips_is_that_of_the_enlarged_images(lpips_weights):
    weights, loads = lpips_weights
    made = objective(net("vp"), loss="pseudo_lpips", lpips_net="alex", lpips_path="here", loss_c=0.5)
    assert loads == [("alex", "here")] and made.fixed is weights
    a, b, c = jax.random.uniform(jax.random.key(0), (3, 2, 8, 8, 3), minval=-1)
    large = [lpips.upscaled(x) for x in (a, b, c)]
    assert large[0].shape == (2, 224, 224, 3)
    for found, other in zip(made.distances(a, [b, c], jnp.zeros(2)), large[1:], strict=True):
        wanted = lpips.lpips(weights, large[0], other, "alex")
        np.testing.assert_allclose(found, np.sqrt(wanted**2 + 0.25) - 0.5, rtol=1e-4)
        assert (wanted > 1e-3).all()


@pytest.fixture
def lpips_weights(monkeypatch):
    """(weights of an AlexNet of few channels, which takes the place of the published one; what was loaded)."""
    from training.objectives import dddm

    weights, loads = parameters(make_state("alex"), "alex"), []
    monkeypatch.setattr(dddm, "load_params", lambda net, path: loads.append((net, path)) or weights)
    return weights, loads


def test_weights_of_lpips_are_arguments_of_the_step_and_see_each_image_once(lpips_weights):
    """Otherwise they were constants of the program; y is compared with two images, which makes three and not four."""
    weights, _ = lpips_weights
    made = objective(net("vp"), loss="pseudo_lpips", lpips_net="alex")
    optimizer = optax.sgd(0.0)
    data = ConfigDict({"random_flip": False, "uniform_dequantization": False, "centered": True})
    step = make_train_step(made, optimizer, (), seed=0, settings=data)
    state = TrainState.create(PARAMS, optimizer, ()).replace(fixed=weights)
    batch = {"image": np.zeros((2, 8, 8, 3), np.uint8), "index": np.arange(2), "epoch": np.zeros(2, np.int32)}
    batch |= {"label": np.zeros(2, np.int32), "x_hat": np.zeros((2, 8, 8, 3), np.float32)}
    mapped = jax.vmap(step, axis_name=AXIS, in_axes=(None, 0))
    batch = jax.tree.map(lambda a: a[None], batch)
    program = jax.make_jaxpr(mapped)(state, batch)
    kernels = [layer["kernel"] for stage in weights["stages"] for layer in stage]
    assert not any(np.array_equal(constant, kernel) for constant in program.consts for kernel in kernels)

    def examine(x):
        estimates = {"x_hat": x, "epoch": jnp.zeros(2, jnp.int32)}
        return made.examine(PARAMS, x, jax.random.split(jax.random.key(0), 2), jnp.ones(2), estimates=estimates)[0]

    text = str(jax.make_jaxpr(examine)(jnp.zeros((2, 8, 8, 3))))
    assert text.count("conv_general_dilated[") == 3 * len(weights["stages"])


def test_times_are_all_steps_of_the_chain():
    for name, sde in PROCESSES.items():
        made = objective(net(name))
        t = made.times(jax.random.key(0), jnp.arange(1000), 1000)
        np.testing.assert_array_equal(np.sort(made.net.labels.label(t)), np.arange(1000))
        assert float(t.max()) == sde.T and float(t.min()) == np.float32(made.t_min)


def test_refusals():
    with pytest.raises(ValueError, match="config.model.prediction=direct"):
        objective(EpsNet(Toy(), PROCESSES["vp"]))
    with pytest.raises(ValueError, match="'huber' is unknown.*choose from mse, pseudo_huber"):
        objective(net("vp"), loss="huber")
    with pytest.raises(ValueError, match="gives no eps: train it with config.training.objective=dddm"):
        net("vp")(PARAMS, jnp.zeros((1, 2)), jnp.ones(1))
    with pytest.raises(ValueError, match="'direct' is for processes without a velocity"):
        EpsNet(Toy(), CLD(), prediction="direct")
    with pytest.raises(ValueError, match=r"\(vp, subvp, ve\), not for Blur"):
        EpsNet(Toy(), Blur(image_shape=(4, 4)), prediction="direct")
    with pytest.raises(ValueError, match="sees the earlier estimate: config.model.concat=True"):
        EpsNet(Toy(concat=False), PROCESSES["vp"], prediction="direct")
    with pytest.raises(ValueError, match="context_noise=2 must lie between 0 and 1"):
        EpsNet(Toy(), PROCESSES["vp"], prediction="direct", context_noise=2)
    with pytest.raises(ValueError, match="guide_floor=5 must lie between 0 and 1"):
        objective(net("vp"), guide_floor=5)
    with pytest.raises(ValueError, match="loss_c=0 must be above 0"):
        objective(net("vp"), loss_c=0)
