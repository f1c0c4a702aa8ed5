"""Training of DDDM in which everything is known: two points, rings, and estimates that are their images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.default import get_config as default
from data import get_dataset, transforms
from devices import mesh, parallel
from models.eps_net import EpsNet
from models.labels import labels_of
from models.mlp import MLP
from samplers.fixed_point import FixedPoint
from sde_lib import VE, VP
from training import estimates
from training.keeper import OnDevices, OnHost
from training.objectives import get_objective
from training.objectives.base import Objective
from training.optimizer import create_optimizer
from training.state import TrainState
from training.step import make_train_step


class Trainer:
    """Training in this process on two devices, the estimates on them, in batches of 64."""

    def __init__(self, images, eps_net, lr=3e-3, **changes):
        config = default("vp", "mlp")
        config.training.update({"objective": "dddm", "loss": "pseudo_huber"} | changes)
        config.optim.update(lr=lr, warmup=0)
        config.data.random_flip = images.ndim == 4
        self.images, self.eps_net = images, eps_net
        optimizer = create_optimizer(config)
        objective = get_objective(config, eps_net)
        step = make_train_step(objective, optimizer, (0.99,), seed=0, settings=config.data)
        self.step = parallel.parallel_steps(step)
        params = jax.jit(lambda: eps_net.init(jax.random.key(0), images.shape[1:]))()
        state = TrainState.create(params, optimizer, (0.99,))
        rows = estimates.initial(0, len(images), images.shape[1:], "float32")
        self.state = parallel.replicate(state).replace(
            estimates=parallel.shard(estimates.divided(rows, jax.device_count()))
        )

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
        """The estimates, (N, ...)."""
        return parallel.unshard(self.state.estimates)[: len(self.images)]

    def sample(self, nfe, n):
        """n samples of nfe steps by the averaged parameters."""
        bound = self.eps_net.bind(parallel.first(self.state.ema[0]))
        keys = jax.random.split(jax.random.key(1), n)
        u_T = self.eps_net.sde.prior(jax.random.key(2), (n, *self.images.shape[1:]))
        sampler = FixedPoint(self.eps_net.sde, nfe=nfe, clip_denoised=False)
        return np.asarray(jax.jit(lambda u: sampler(bound, keys, u).u)(u_T))


TWO = np.tile(np.float32([[1, 0.5], [-1, -0.5]]), (3200, 1))
SHORT = {"vp": VP(schedule="discrete", num_steps=100), "ve": VE(sigma_max=10.0)}


def mlp(sde, context_noise=0.0):
    module = MLP(nf=64, num_res_blocks=2, concat=True)
    labels = labels_of(sde, "direct", num_scales=None if sde.chain else 100)
    return EpsNet(module, sde, prediction="direct", labels=labels, context_noise=context_noise)


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

    keeps_estimates, t_min, t_max = True, 0.0, 1.0

    def __init__(self, sde):
        self.sde = sde

    def times(self, key, position, batch_size):
        return position / batch_size

    def losses(self, params, x, keys, t, train=True, condition=None):
        return params["w"] * x.reshape(len(x), -1).mean(1)

    def examine(self, params, x, keys, t, train=True, condition=None, estimates=None):
        gap = jnp.abs(estimates["x_hat"] - x).reshape(len(x), -1).max(1)
        return self.losses(params, x, keys, t), {"estimate": x, "gap": gap}


@pytest.mark.parametrize("place", ["device", "host"])
def test_estimates_follow_the_flips_of_their_images(place):
    """Images are seen mirrored or not at random: memories hold them as they are, and are mirrored with them."""
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 6, 1)).astype(np.uint8)
    config = default("vp", "mlp")
    optimizer = create_optimizer(config)
    step = parallel.parallel_steps(make_train_step(Echo(VP()), optimizer, (0.99,), seed=0, settings=config.data))
    state = TrainState.create({"w": jnp.ones(())}, optimizer, (0.99,))
    rows = estimates.initial(0, 12, (4, 6, 1), "float32")
    keeper = OnDevices(rows) if place == "device" else OnHost(rows)
    state, run = keeper.place(state), keeper.wrap(step)
    for epoch in range(3):
        for index in np.arange(12, dtype=np.int32).reshape(3, 4):
            batch = {"image": images[index], "label": index, "index": index, "epoch": np.full(4, epoch, np.int32)}
            state, metrics = jax.block_until_ready(run(state, keeper.put([batch])))
            assert (float(parallel.first(metrics["gap"])[0]) == 0) == (epoch > 0)
    x = np.asarray(transforms.to_model_range(jnp.asarray(images)))
    np.testing.assert_array_equal(keeper.estimates(state), x)


def remembered(grad_accum=1, chunk=1, engine=parallel):
    """(estimates, parameters) after six steps over 100 points."""
    points = np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)
    config = default("vp", "mlp")
    config.training.update(objective="dddm", loss="mse")
    config.optim.update(lr=1e-2, warmup=0)
    eps_net, optimizer = mlp(SHORT["vp"]), create_optimizer(config)
    objective = get_objective(config, eps_net)
    step = make_train_step(objective, optimizer, (0.9,), seed=0, settings=config.data, grad_accum=grad_accum)
    keeper, run = OnDevices(estimates.initial(0, 100, (2,), "float32"), engine), engine.parallel_steps(step)
    params = jax.jit(lambda: eps_net.init(jax.random.key(0), (2,)))()
    state = keeper.place(TrainState.create(params, optimizer, (0.9,)))
    n = np.arange(6 * 32, dtype=np.int32).reshape(6, 32)
    batches = [{"image": points[i % 100], "label": i, "index": i % 100, "epoch": i // 100} for i in n]
    for begin in range(0, 6, chunk):
        state, _ = jax.block_until_ready(run(state, keeper.put(batches[begin : begin + chunk])))
    return [keeper.estimates(state), *jax.tree.leaves(engine.to_host(state.params))]


@pytest.fixture(scope="module")
def one_by_one():
    return remembered()


@pytest.mark.parametrize(
    "way", [{"grad_accum": 2}, {"chunk": 3}, {"engine": mesh}], ids=["accumulation", "chunk", "engine"]
)
def test_neither_accumulation_nor_steps_per_dispatch_nor_the_engine_changes_anything(one_by_one, way):
    for a, b in zip(one_by_one, remembered(**way), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, np.abs(a).max()))
