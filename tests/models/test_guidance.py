"""Classifier-free guidance at the border: what every sampler gets."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from models.eps_net import EpsNet
from samplers import get_sampler
from sde_lib import VP


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
    np.testing.assert_allclose(net().bind(PARAMS, {"label": LABEL}, 0.0)(U, T), free, rtol=1e-6)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "previous", "score"])
def test_guided_eps_is_the_same_whatever_the_output_means(prediction):
    """eps without the class + w (difference), though what is guided is the output."""
    network = net(prediction)
    guided = network.bind(PARAMS, {"label": LABEL}, 3.0)(U, T)
    with_class, without = (network(PARAMS, U, T, condition={"label": label}) for label in (LABEL, jnp.full(2, -1)))
    expected = without + 3.0 * (with_class - without)
    np.testing.assert_allclose(guided, expected, atol=1e-4 * np.abs(expected).max())


def test_variances_are_those_with_the_class():
    output = net().bind(PARAMS, {"label": LABEL}, 5.0).output(U, T)
    expected = jnp.cos(U) * (2 + LABEL)[:, None, None, None]
    np.testing.assert_allclose(output[..., 1:], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["gddim", "dpmpp_2m", "em"])
def test_samplers_take_it_as_any_eps_fn(method):
    """Guidance of scale w on a table is the table times w."""
    sampler = get_sampler(ConfigDict({"sampling": {"method": method, "nfe": 4}}), net().sde)
    guided = net().bind(PARAMS, {"label": LABEL}, 2.0)
    doubled = net().bind({"shift": 2 * PARAMS["shift"]}, {"label": LABEL})
    a, b = (sampler(eps_fn, jax.random.key(1), U).u for eps_fn in (guided, doubled))
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_guidance_needs_a_class():
    with pytest.raises(ValueError, match="config.sampling.guidance needs a class-conditional network"):
        net().bind(PARAMS, guidance=2.0)
