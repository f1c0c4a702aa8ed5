"""What conditional networks are told in training."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from models.eps_net import EpsNet
from sde_lib import VP
from tests.training.test_objectives import config as dsm_config
from training.conditions import block_means, drop, make_conditions
from training.objectives import get_objective
from training.state import TrainState
from training.step import make_train_step


def config(num_classes=0, label_dropout=0.0, super_resolution=False, low_res_size=0):
    return ConfigDict(
        {
            "model": {"num_classes": num_classes, "super_resolution": super_resolution},
            "training": {"label_dropout": label_dropout},
            "data": {"low_res_size": low_res_size},
        }
    )


def test_labels_are_dropped_at_their_rate_and_by_their_own_key():
    keys, labels = jax.random.split(jax.random.key(0), 4000), jnp.arange(4000) % 10
    dropped = drop(labels, keys, 0.2)
    gone = np.asarray(dropped == -1)
    assert abs(gone.mean() - 0.2) < 5 * (0.2 * 0.8 / 4000) ** 0.5
    np.testing.assert_array_equal(dropped[~gone], labels[~gone])
    np.testing.assert_array_equal(drop(labels[7:9], keys[7:9], 0.2), dropped[7:9])


def test_without_keys_no_label_is_dropped():
    conditions = make_conditions(config(num_classes=10, label_dropout=0.9))
    labels = jnp.arange(10)
    np.testing.assert_array_equal(conditions({"label": labels}, None, None)["label"], labels)


def test_low_resolution_images_are_means_of_blocks():
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)
    low_res = make_conditions(config(super_resolution=True, low_res_size=4))({}, jnp.asarray(x), None)["low_res"]
    expected = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    np.testing.assert_allclose(low_res, expected, atol=1e-6)


class Told(nn.Module):
    """A network that returns its table at the class, and the mean of the low-resolution image."""

    dropout = 0.0

    @nn.compact
    def __call__(self, x, time_label, train=False, label=None, low_res=None):
        table = self.param("table", nn.initializers.zeros, (3,))
        rest = jnp.where(label >= 0, table[jnp.maximum(label, 0)], 0.0) + 0 * low_res.mean((1, 2, 3))
        return jnp.broadcast_to(rest[:, None, None, None], x.shape)


def test_the_training_step_passes_conditions_on():
    """Only rows of classes that occur get a gradient, and those of dropped labels do not."""
    eps_net = EpsNet(Told(), VP())
    objective = get_objective(
        dsm_config(t_min=1e-3),
        eps_net,
    )
    data = ConfigDict({"random_flip": False, "uniform_dequantization": False, "centered": True})
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 4, 4, 1), dtype=np.uint8)
    moved = {}
    for dropout in (0.0, 1.0):
        conditions = make_conditions(config(3, dropout, True, 2))
        optimizer = optax.sgd(1.0)
        step = make_train_step(objective, optimizer, (), seed=0, settings=data, conditions=conditions, grad_accum=2)
        state = TrainState.create({"table": jnp.zeros(3)}, optimizer, ())
        state = jax.tree.map(lambda a: a[None], state)
        labels = np.array([[0, 2, 0, 2, 0, 0, 2, 2]])
        run = jax.pmap(step, axis_name="batch", devices=jax.devices()[:1])
        moved[dropout] = np.asarray(run(state, {"image": images, "label": labels})[0].params["table"][0])
    assert moved[0.0][1] == 0 and (np.abs(moved[0.0][[0, 2]]) > 1e-4).all()
    np.testing.assert_array_equal(moved[1.0], 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_conditions(config(label_dropout=0.1)), "label_dropout needs a class-conditional network"),
        (lambda: make_conditions(config(low_res_size=4)), "go together"),
        (lambda: block_means(jnp.zeros((1, 6, 6, 1)), 4), "must divide the image size 6x6"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
