"""Objectives of DDPM and improved DDPM: published losses and gradients, and what they keep in the training state."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from models.eps_net import EpsNet
from models.labels import labels_of
from sde_lib import VP
from tests.sde_lib.test_chain import nhwc, toy
from training.checkpoint import Checkpoints
from training.objectives import get_objective
from training.state import TrainState
from training.step import make_train_step

CASES = {
    "mse_fixed": ("simple", "discrete", 1000, "fixed_large"),
    "hybrid": ("hybrid", "discrete_cosine", 4000, "learned_range"),
    "kl": ("vlb", "discrete", 1000, "learned_range"),
    "rescaled_kl": ("vlb", "discrete", 1000, "learned_range"),
}


class Toy(nn.Module):
    """The golden networks, times a parameter that is 1."""

    learned: bool = True
    dropout = 0.0

    @nn.compact
    def __call__(self, x, label, train=False):
        return self.param("a", nn.initializers.ones, ()) * toy(x, label, self.learned)


def settings(**training):
    base = {"timestep_sampler": "uniform", "loss": "mse", "vlb_weight": 1e-3}
    return ConfigDict({"training": base | training})


def make(objective, schedule="discrete", steps=1000, variance="learned_range", prediction="eps", **training):
    sde = VP(schedule=schedule, num_steps=steps)
    learned = variance.startswith("learned")
    labels = labels_of(sde, rescale=sde.chain is not None)
    eps_net = EpsNet(Toy(learned), sde, prediction=prediction, labels=labels, variance=variance)
    return get_objective(settings(objective=objective, **training), eps_net)


@pytest.mark.parametrize("tag", CASES)
def test_published_losses(golden, tag):
    """Per example; the published "kl" is our loss over the number of steps."""
    g = golden("torch/idm_losses.npz")
    objective, i = make(*CASES[tag]), jnp.asarray(g[f"{tag}.t"])
    x_0, noise = nhwc(g["x_start"]), nhwc(g["noise"])
    x, t = objective.chain.q_sample(x_0, i, noise), (i + 1) / objective.chain.n
    np.testing.assert_array_equal(objective.step_of(t), i)
    output = objective.eps_net.output({"a": jnp.ones(())}, x, t)
    factor = objective.chain.n if tag == "kl" else 1
    np.testing.assert_allclose(objective.loss(output, x_0, x, i, noise) / factor, g[f"{tag}.loss"], rtol=2e-4)
    if tag == "hybrid":
        squared, bits = objective.terms(output, x_0, x, i, noise)
        np.testing.assert_allclose(squared, g["hybrid.mse"], rtol=1e-5)
        np.testing.assert_allclose(objective.weight * bits, g["hybrid.vb"], rtol=2e-4)


@pytest.mark.parametrize("tag", CASES)
def test_published_gradients(golden, tag):
    """With respect to the output: shows what is kept from the gradient."""
    g = golden("torch/idm_losses.npz")
    objective, i = make(*CASES[tag]), jnp.asarray(g[f"{tag}.t"])
    x_0, noise, expected = nhwc(g["x_start"]), nhwc(g["noise"]), nhwc(g[f"{tag}.grad_free_output"])
    output = nhwc(g["free_output"])[..., : expected.shape[-1]]
    x = objective.chain.q_sample(x_0, i, noise)
    factor = objective.chain.n if tag == "kl" else 1
    grad = jax.grad(lambda f: objective.loss(f, x_0, x, i, noise).sum() / factor)(output)
    np.testing.assert_allclose(grad, expected, rtol=0, atol=3e-4 * np.abs(expected).max())


@pytest.mark.parametrize("distance", ["l1", "l2", "huber"])
def test_distances_of_a_ddpm_code_base(golden, distance):
    """GenerativeZoo: the mean over everything."""
    g = golden("torch/gz_ddpm.npz")
    name = {"l2": "mse"}.get(distance, distance)
    objective = make("simple", variance="fixed_large", loss=name)
    i, x_0, noise = jnp.asarray(g["loss.t"]), nhwc(g["x0"]), nhwc(g["noise"])
    x = objective.chain.q_sample(x_0, i, noise)
    np.testing.assert_allclose(x, nhwc(g["loss.q_sample"]), atol=1e-5)
    loss = objective.loss(toy(x, i, False), x_0, x, i, noise).mean()
    np.testing.assert_allclose(loss, g[f"loss.{distance}"], rtol=1e-5)


def test_loss_of_another_ddpm_code_base(golden):
    """xyfJASON."""
    g = golden("torch/xyf_ddpm.npz")
    objective = make("simple", variance="fixed_large")
    i, x_0, noise = jnp.asarray(g["loss_eps.t"]), nhwc(g["loss_eps.x0"]), nhwc(g["loss_eps.eps"])
    x = objective.chain.q_sample(x_0, i, noise)
    np.testing.assert_allclose(x, nhwc(g["loss_eps.x_t"]), atol=1e-5)
    np.testing.assert_allclose(objective.loss(toy(x, i, False), x_0, x, i, noise).mean(), g["loss_eps.loss"], rtol=1e-5)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "previous"])
def test_every_prediction_is_zero_at_its_target_and_means_the_same_eps(prediction):
    """EpsNet, at the times of the chain, turns the target of every prediction into the noise."""
    objective = make("simple", steps=100, variance="fixed_large", prediction=prediction)
    chain, i = objective.chain, jnp.array([5, 30, 60, 90])
    x_0, noise = jax.random.normal(jax.random.key(0), (2, 4, 3, 3, 1))
    x = chain.q_sample(x_0, i, noise)
    target = chain.target(prediction, x_0, x, i, noise)
    np.testing.assert_array_equal(objective.loss(target, x_0, x, i, noise), 0)
    eps = objective.eps_net.to_eps(lambda u: target, x, (i + 1) / 100)
    np.testing.assert_allclose(eps, noise, atol=2e-3)  # "previous" divides by beta, about 1e-2, and by sqrt(1 - abar)


def test_drawn_losses_are_those_of_their_keys():
    """Example k of any batch sees the same noise: one example alone equals it in a batch."""
    objective = make("hybrid")
    x = jax.random.uniform(jax.random.key(0), (4, 4, 4, 1), minval=-1)
    keys, t = jax.random.split(jax.random.key(1), 4), jnp.array([1, 200, 600, 1000]) / 1000
    params = {"a": jnp.ones(())}
    together = objective.losses(params, x, keys, t)
    alone = [objective.losses(params, x[k : k + 1], keys[k : k + 1], t[k : k + 1])[0] for k in range(4)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-5)


def test_what_a_timestep_sampler_keeps_is_trained_along_and_saved(tmp_path):
    """Two devices and gradient accumulation see the same draws; the checkpoint gives the state back."""
    objective = make("vlb", "discrete_cosine", 20, timestep_sampler="loss_second_moment")
    optimizer, data = (
        optax.sgd(1e-3),
        ConfigDict({"random_flip": False, "uniform_dequantization": False, "centered": True}),
    )
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 4, 4, 1), dtype=np.uint8)

    def run(grad_accum, devices):
        start = TrainState.create({"a": jnp.ones(())}, optimizer, (), objective.init())
        step = make_train_step(objective, optimizer, (), seed=3, settings=data, grad_accum=grad_accum)
        step = jax.pmap(step, axis_name="batch", devices=jax.devices()[:devices])
        state = jax.tree.map(lambda a: jnp.stack([a] * devices), start)
        for batch in images:
            state, _ = step(state, {"image": batch.reshape(devices, -1, 4, 4, 1)})
        return jax.tree.map(lambda a: np.asarray(a[0]), state)

    one = run(1, 1)
    assert one.extra["count"].sum() > 180
    for other in (run(2, 1), run(1, 2)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=2e-5), one, other)
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    checkpoints.save(one, position=0, config=ConfigDict())
    checkpoints.close()
    restored, _, _ = Checkpoints(tmp_path).restore(jax.eval_shape(lambda: one))
    jax.tree.map(np.testing.assert_array_equal, restored, one)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make("simple", loss="l3"), "'l3' is unknown.*choose from mse, l1, huber"),
        (lambda: make("simple"), "'learned_range' is not trained by"),
        (lambda: make("hybrid", variance="fixed_small"), "'hybrid' trains a variance"),
        (lambda: make("vlb", variance="large"), "config.model.variance='large' is unknown"),
        (lambda: make("vlb", schedule="linear"), "needs a discrete chain"),
        (lambda: make("vlb", prediction="score"), "'score' does not go with config.training.objective='vlb'"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
