"""DDDM's losses and map against its authors' code, and training in which everything is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.default import get_config as default
from data import get_dataset, memory, transforms
from models.eps_net import EpsNet
from models.guidance import Bound
from models.mlp import MLP
from modes.estimates import OnDevices, OnHost
from samplers.fixed_point import FixedPoint
from sde_lib import CLD, VE, VP
from training import parallel
from training.objectives import get_objective
from training.objectives.base import Objective
from training.objectives.dddm import pseudo
from training.optimizer import create_optimizer
from training.state import TrainState
from training.step import make_train_step

PROCESSES = {"vp": VP(schedule="discrete", beta_min=0.1, beta_max=20.0, num_steps=1000), "ve": VE()}


class Toy(nn.Module):
    """The golden toy: F(x, t, c) = a sin(1.3 x + 0.001 t) + b c."""

    @nn.compact
    def __call__(self, x, label, train=False, context=None):
        a, b = self.param("a", nn.initializers.constant(0.5), ()), self.param("b", nn.initializers.constant(0.3), ())
        return a * jnp.sin(1.3 * x + 0.001 * label.reshape(-1, *(1,) * (x.ndim - 1))) + b * context


PARAMS = {"a": jnp.float32(0.5), "b": jnp.float32(0.3)}


def net(name):
    return EpsNet(Toy(), PROCESSES[name], prediction="direct", chain=1000)


def objective(eps_net, **changes):
    training = {"objective": "dddm", "loss": "mse", "loss_c": 1.4e-4, "guide_floor": 0.0}
    training |= {"lpips_net": "vgg", "lpips_path": ""} | changes
    return get_objective(ConfigDict({"training": training}), eps_net)


def tolerance(name, t):
    """Of the manifest: sin(1.3 x) loses digits where x is large, for VE in proportion to sigma^2 (per sample)."""
    if name == "vp":
        return np.full(t.shape, 1e-5)
    return 1e-5 * np.maximum(1, np.asarray(PROCESSES["ve"].sigma(t / 999)) ** 2)


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_the_map_and_its_distances(golden, name):
    g = golden("torch/dddm_steps.npz")
    eps_net, t = net(name), g[f"{name}.t"]
    times = jnp.asarray(eps_net.sde.chain_time(t, 1000), jnp.float32)
    np.testing.assert_array_equal(eps_net.label(times), t)
    x_t, f = g[f"{name}.q_sample"], g[f"{name}.f"]
    told = Bound(eps_net, PARAMS, {})
    estimates = np.asarray(told.estimate(jnp.asarray(g["condition"]), jnp.asarray(x_t), times))
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
    x_T, bound = jnp.asarray(g["x_T"]), Bound(net(name), PARAMS, {})
    one_past = jnp.full(4, 1.001 if name == "vp" else 1000 / 999)
    x_hat = jnp.asarray(g["x_bar"])
    if name == "vp":  # VE's kappa of the authors stays that of the last step
        for expected in g["vp.multi_step_T1000"]:
            x_hat = jnp.clip(bound.estimate(x_hat, x_T, one_past), -1, 1)
            np.testing.assert_allclose(x_hat, expected, rtol=1e-5, atol=1e-5)
    last = jnp.full(4, 1.0)
    one = jnp.clip(bound.estimate(jnp.asarray(g["x_bar"]), x_T, last), -1, 1)
    np.testing.assert_allclose(one, g[f"{name}.p_sample_T999"], rtol=1e-5, atol=1e-5)
    samples = FixedPoint(PROCESSES[name], 3, trajectory=True)(bound, jax.random.key(0), x_T)
    for before, after in zip(samples.trajectory["x_0"], samples.trajectory["x_0"][1:], strict=False):
        np.testing.assert_allclose(jnp.clip(bound.estimate(before, x_T, last), -1, 1), after, atol=1e-6)


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
    sde, times = eps_net.sde, jnp.asarray(net(name).sde.chain_time(t, 1000), jnp.float32)
    R = sde.R(times)[..., 0] if name == "vp" else sde.Sigma(times)[..., 0]
    x_t = sde.Psi(times, 0 * times)[..., 0] * x + R * g["noise"]
    monkeypatch.setattr(type(sde), "perturb", lambda self, key, u_0, t: (x_t, None))
    x_hat = jnp.asarray(g["x_bar_before"][g["index"]])
    recalled = {"x_hat": x_hat, "epoch": jnp.full(4, int(epoch[1:]))}
    examined = objective(eps_net, **CASES[case]).examine

    def mean_loss(params):
        losses, seen = examined(params, x, jax.random.split(jax.random.key(0), 4), times, recalled=recalled)
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


def test_pseudo_lpips_is_that_of_the_enlarged_images(monkeypatch):
    from training.objectives import dddm

    monkeypatch.setattr(dddm, "load_params", lambda net, path: {"net": net, "path": path})
    seen = {}

    def lpips(params, a, b, net):
        seen.update(params=params, shape=a.shape)
        return jnp.abs(a - b).mean((1, 2, 3))

    monkeypatch.setattr(dddm, "lpips", lpips)
    made = objective(net("vp"), loss="pseudo_lpips", lpips_net="alex", lpips_path="here", loss_c=0.5)
    a, b = jnp.full((2, 8, 8, 3), 0.25), jnp.full((2, 8, 8, 3), -0.5)
    np.testing.assert_allclose(made.distance(a, b, jnp.zeros(2)), np.sqrt(0.75**2 + 0.25) - 0.5, rtol=1e-6)
    assert seen == {"params": {"net": "alex", "path": "here"}, "shape": (2, 224, 224, 3)}


def test_times_are_all_steps_of_the_chain():
    for name, sde in PROCESSES.items():
        made = objective(net(name))
        t = made.times(jax.random.key(0), jnp.arange(1000), 1000)
        np.testing.assert_array_equal(np.sort(made.net.label(t)), np.arange(1000))
        assert float(t.max()) == sde.T and float(t.min()) == np.float32(made.t_min)


def test_refusals():
    with pytest.raises(ValueError, match="config.model.prediction=direct"):
        objective(EpsNet(Toy(), PROCESSES["vp"]))
    with pytest.raises(ValueError, match="'huber' is unknown; use one of mse, pseudo_huber"):
        objective(net("vp"), loss="huber")
    with pytest.raises(ValueError, match="gives no eps: train it with config.training.objective=dddm"):
        net("vp")(PARAMS, jnp.zeros((1, 2)), jnp.ones(1))
    with pytest.raises(ValueError, match="'direct' is for vp, subvp and ve, not for CLD"):
        CLD().direct(0.5)


class Trainer:
    """Training in this process on two devices, the memory on them, in batches of 64."""

    def __init__(self, images, eps_net, lr=3e-3, **changes):
        config = default("vp", "mlp")
        config.training.update({"objective": "dddm", "loss": "pseudo_huber"} | changes)
        config.optim.update(lr=lr, warmup=0)
        config.data.random_flip = images.ndim == 4
        self.images, self.eps_net = images, eps_net
        optimizer = create_optimizer(config)
        objective = get_objective(config, eps_net)
        self.step = parallel.parallel_steps(make_train_step(objective, optimizer, (0.99,), seed=0, data=config.data))
        params = eps_net.init(jax.random.key(0), images.shape[1:])
        state = TrainState.create(params, optimizer, (0.99,))
        rows = memory.initial(0, len(images), images.shape[1:], "float32")
        self.state = parallel.replicate(state).replace(memory=parallel.shard(memory.divided(rows, jax.device_count())))

    def train(self, steps):
        """Goes on for so many steps, through the images in order."""
        n = int(parallel.first(self.state.step)) * 64
        for begin in range(n, n + 64 * steps, 64):
            position = begin + np.arange(64)
            index = (position % len(self.images)).astype(np.int32)
            batch = {"image": self.images[index], "index": index, "epoch": (position // len(self.images)).astype(int)}
            self.state, metrics = jax.block_until_ready(self.step(self.state, parallel.shard_steps([batch])))
        return parallel.first(metrics)

    def estimates(self):
        """The memory, (N, ...)."""
        return parallel.unshard(self.state.memory)[: len(self.images)]

    def sample(self, nfe, n):
        """n samples of nfe steps by the averaged parameters."""
        bound = self.eps_net.bind(parallel.first(self.state.ema[0]))
        keys = jax.random.split(jax.random.key(1), n)
        u_T = self.eps_net.sde.prior(jax.random.key(2), (n, *self.images.shape[1:]))
        return np.asarray(FixedPoint(self.eps_net.sde, nfe, clip_denoised=False)(bound, keys, u_T).u)


TWO = np.tile(np.float32([[1, 0.5], [-1, -0.5]]), (3200, 1))
SHORT = {"vp": VP(schedule="discrete", num_steps=100), "ve": VE(sigma_max=10.0)}


def mlp(sde, context_noise=0.0):
    module = MLP(nf=64, num_res_blocks=2, concat=True)
    return EpsNet(module, sde, prediction="direct", chain=100, context_noise=context_noise)


def near_a_point(samples):
    """(share of samples within 0.3 of one of the two points, which are 2.2 apart; share of the first point)."""
    distance = np.linalg.norm(samples[:, None] - TWO[None, :2], axis=-1)
    return (distance.min(1) < 0.3).mean(), (distance.argmin(1) == 0).mean()


def near_their_images(trainer):
    """Share of estimates within 0.3 of the point that they are estimates of."""
    return (np.linalg.norm(trainer.estimates() - trainer.images, axis=1) < 0.3).mean()


def test_the_method_as_published_on_two_points():
    """Eight epochs: the estimates are at their points, and iterating brings samples there."""
    trainer = Trainer(TWO, mlp(SHORT["ve"]), loss="mse")
    assert near_their_images(trainer) < 0.05
    trainer.train(800)
    assert near_their_images(trainer) > 0.9
    assert near_a_point(trainer.sample(50, 256))[0] > near_a_point(trainer.sample(1, 256))[0] + 0.2


@pytest.mark.parametrize("name", SHORT)
def test_told_noised_estimates_one_step_lands_on_a_point(name):
    trainer = Trainer(TWO, mlp(SHORT[name], context_noise=0.6), guide_floor=1.0)
    trainer.train(800)
    assert near_their_images(trainer) > 0.85
    for nfe, least in ((1, 0.7), (5, 0.95)):
        share, first = near_a_point(trainer.sample(nfe, 256))
        assert share > least and 0.25 < first < 0.75


def test_distances_of_one_and_five_steps_fall_while_rings_are_learned():
    """Sliced Wasserstein distance over 64 directions to held-out points, after 50 and after 600 steps."""
    config = ConfigDict({"data": {"dataset": "points", "points": "rings", "num_points": 6400}})
    points, held_out = (get_dataset(config, split).arrays()[0] for split in ("train", "test"))
    trainer = Trainer(points, mlp(SHORT["vp"], context_noise=0.2), guide_floor=1.0)
    angles = np.arange(64) * np.pi / 64
    directions = np.stack([np.cos(angles), np.sin(angles)])

    def distance(nfe):
        one, other = (np.sort(x @ directions, axis=0) for x in (trainer.sample(nfe, len(held_out)), held_out))
        return np.abs(one - other).mean()

    trainer.train(50)
    early = distance(1), distance(5)
    trainer.train(550)
    assert distance(1) < early[0] / 2 and distance(5) < early[1] / 2


class Echo(Objective):
    """Estimates an image by itself: what is remembered is then the image, and what is recalled must equal it."""

    remembers, t_min = True, 0.0

    def __init__(self, sde):
        self.sde = sde

    def times(self, key, position, batch_size):
        return position / batch_size

    def losses(self, params, x, keys, t, train=True, condition=None):
        return params["w"] * x.reshape(len(x), -1).mean(1)

    def examine(self, params, x, keys, t, train=True, condition=None, recalled=None):
        gap = jnp.abs(recalled["x_hat"] - x).reshape(len(x), -1).max(1)
        return self.losses(params, x, keys, t), {"estimate": x, "gap": gap}


@pytest.mark.parametrize("place", ["device", "host"])
def test_estimates_follow_the_flips_of_their_images(place):
    """Images are seen mirrored or not at random: memories hold them as they are, and are mirrored with them."""
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 6, 1)).astype(np.uint8)
    config = default("vp", "mlp")
    optimizer = create_optimizer(config)
    step = parallel.parallel_steps(make_train_step(Echo(VP()), optimizer, (0.99,), seed=0, data=config.data))
    state = TrainState.create({"w": jnp.ones(())}, optimizer, (0.99,))
    rows = memory.initial(0, 12, (4, 6, 1), "float32")
    keeper = OnDevices(rows) if place == "device" else OnHost(rows)
    state, run = keeper.place(state), keeper.wrap(step)
    for epoch in range(3):
        for index in np.arange(12, dtype=np.int32).reshape(3, 4):
            batch = {"image": images[index], "label": index, "index": index, "epoch": np.full(4, epoch, np.int32)}
            state, metrics = jax.block_until_ready(run(state, keeper.put([batch])))
            assert (float(parallel.first(metrics["gap"])[0]) == 0) == (epoch > 0)
    x = np.asarray(transforms.to_model_range(jnp.asarray(images)))
    np.testing.assert_array_equal(keeper.rows(state), x)
