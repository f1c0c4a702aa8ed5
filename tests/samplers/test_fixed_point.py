"""Iterations of a map that is known in closed form, and of DDDM's own toy map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers.fixed_point import FixedPoint
from sde_lib import VE, VP


class Contraction:
    """x_hat -> (x_hat + u) / 2: after n steps u + 2^-n (x_hat^(0) - u)."""

    prediction = "direct"

    def noised(self, x_hat, fraction, keys):
        assert keys.shape == fraction.shape == x_hat.shape[:1]
        return x_hat

    def direct(self, x_hat, u, t):
        assert t.shape == u.shape[:1]
        return (x_hat + u) / 2


@pytest.mark.parametrize("nfe", [1, 2, 7])
def test_n_steps_of_a_contraction(nfe):
    keys = jax.random.split(jax.random.key(0), 3)
    u_T = jax.random.normal(jax.random.key(1), (3, 4, 4, 1))
    samples = FixedPoint(VP(), nfe=nfe, clip_denoised=False, trajectory=True)(Contraction(), keys, u_T)
    visited = samples.trajectory["x_0"]
    assert samples.nfe == nfe and len(visited) == nfe
    first = 2 * visited[0] - u_T
    assert abs(float(first.std()) - 1) < 0.4 and abs(np.corrcoef(first.ravel(), u_T.ravel())[0, 1]) < 0.5
    np.testing.assert_allclose(samples.u, u_T + 0.5**nfe * (first - u_T), atol=1e-6)
    np.testing.assert_array_equal(samples.u, visited[-1])


def test_estimates_are_clipped_at_every_step_and_images_have_their_own_noise():
    keys = jax.random.split(jax.random.key(0), 3)
    u_T = 9 * jax.random.normal(jax.random.key(1), (3, 4, 4, 1))
    sampler = FixedPoint(VE(), nfe=3, trajectory=True)
    samples = sampler(Contraction(), keys, u_T)
    assert np.abs(samples.trajectory["x_0"]).max() == 1
    np.testing.assert_array_equal(sampler(Contraction(), keys[1:2], u_T[1:2]).u, samples.u[1:2])


def test_refusals():
    with pytest.raises(ValueError, match="needs a network with config.model.prediction=direct"):
        FixedPoint(VP())(lambda u, t: u, jax.random.key(0), jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="nfe=0"):
        FixedPoint(VP(), nfe=0)
