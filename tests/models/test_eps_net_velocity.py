"""prediction = velocity: networks that predict the velocity half of the noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.eps_net import EpsNet
from sde_lib import CLD, VP, blocks
from sde_lib.exact import mixture_eps


class Network:
    """f(u, t) in place of a Flax module, told t itself."""

    dropout = 0.0

    def __init__(self, f):
        self.f = f

    def apply(self, variables, u, label, **options):
        return self.f(u, label)


def toy(u, t):
    """The function of the golden file; the position half must not matter."""
    x, v = jnp.split(u, 2, axis=-1)
    f = 0.8 * jnp.sin(1.3 * x + 0.7 * v + 2 * t.reshape(-1, 1, 1, 1))
    return jnp.concatenate([jnp.full_like(f, 7.0), f], axis=-1)


@pytest.mark.parametrize(
    ("tag", "process"),
    [
        ("hsm_v2_mixed", {}),
        ("hsm_v1_mixed", {"beta_0": 1.5, "beta_1": 5.0, "m_inv": 2.5, "vv_gamma": 0.1}),
        ("hsm_likelihood", {}),
    ],
)
def test_score_of_cld_sgm(golden, tag, process):
    arrays = golden("torch/cld_loss.npz")
    t = jnp.asarray(arrays["uniform"] * (1 - 1e-5) + 1e-5, jnp.float32)
    u = jnp.asarray(arrays[f"{tag}.perturbed"].transpose(0, 2, 3, 1), jnp.float32)
    net = EpsNet(Network(toy), CLD(eps=1e-9, **process), prediction="velocity", mixed_score=True)
    score = np.split(net.sde.score(net({}, u, t), t), 2, axis=-1)[1]
    want = arrays[f"{tag}.score"].transpose(0, 2, 3, 1)
    error = np.abs(score - want).max((1, 2, 3)) / np.abs(want).max((1, 2, 3))
    assert error.max() < 1e-4  # the manifest's


@pytest.mark.parametrize("mixed", [False, True])
def test_the_exact_noise_is_recovered_from_its_velocity_half(x64, mixed):
    sde, rng = CLD(), np.random.default_rng(0)
    exact = mixture_eps(sde, rng.standard_normal((3, 4)), [0.1, 0.3, 0.05])

    def half(u, t):
        e = blocks.apply(blocks.transpose(blocks.matmul(blocks.inverse(sde.R(t)), sde.L(t))), exact(u, t))
        ratio = (sde.L(t)[..., 1, 1] / sde.Sigma(t)[..., 1, 1]).reshape(-1, 1)
        return e - mixed * ratio * jnp.concatenate([u[..., :4] * 0, u[..., 4:]], axis=-1)

    net = EpsNet(Network(half), sde, prediction="velocity", mixed_score=mixed)
    t = jnp.geomspace(1e-3, 1.0, 16)
    u = jax.random.normal(jax.random.key(1), (16, 8), jnp.float64)
    np.testing.assert_allclose(net({}, u, t), exact(u, t), rtol=1e-7, atol=1e-7)


def test_needs_a_velocity():
    with pytest.raises(ValueError, match="is for a process with one: config.sde.name=cld"):
        EpsNet(Network(toy), VP(), prediction="velocity")
