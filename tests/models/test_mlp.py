"""The multilayer perceptron for points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.mlp import MLP

NET = MLP(nf=16, num_res_blocks=2, num_frequencies=2)


@pytest.fixture(scope="module")
def built():
    x, label = jax.random.normal(jax.random.key(0), (5, 4)), jnp.linspace(1.0, 900.0, 5)
    shapes = jax.eval_shape(NET.init, jax.random.key(1), x, label)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    params = tree.unflatten([0.3 * jax.random.normal(k, s.shape) for k, s in zip(keys, leaves, strict=True)])
    return params, x, label


def test_forward_equals_numpy(built):
    params, x, label = built
    p = jax.tree.map(np.float64, params)

    def dense(i, h):
        return h @ p[f"Dense_{i}"]["kernel"] + p[f"Dense_{i}"]["bias"]

    def silu(h):
        return h / (1 + np.exp(-h))

    arguments = np.float64(label)[:, None] * 10_000.0 ** (-np.arange(8) / 7)
    temb = dense(1, silu(dense(0, np.concatenate([np.sin(arguments), np.cos(arguments)], -1))))
    u = np.float64(x)
    h = dense(2, np.concatenate([u, np.sin(u), np.cos(u), np.sin(2 * u), np.cos(2 * u)], -1))
    for i in (3, 6):
        h = h + dense(i + 2, silu(dense(i, silu(h)) + dense(i + 1, silu(temb))))
    expected = dense(9, silu(h))
    out = NET.apply({"params": params}, x, label)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, atol=1e-4 * np.abs(expected).max())


def test_examples_do_not_see_each_other(built):
    params, x, label = built
    one = jax.vmap(lambda x, c: NET.apply({"params": params}, x[None], c[None])[0])
    np.testing.assert_allclose(one(x, label), NET.apply({"params": params}, x, label), atol=1e-5)


def test_bfloat16_is_close_and_returns_float32(built):
    params, x, label = built
    out, low = (NET.clone(dtype=d).apply({"params": params}, x, label) for d in ("float32", "bfloat16"))
    assert low.dtype == jnp.float32
    assert 1e-4 < float(jnp.linalg.norm(low - out) / jnp.linalg.norm(out)) < 0.05  # 8 bits through ten layers


def test_refusals():
    with pytest.raises(ValueError, match="config.model.embedding_type='sine' is unknown"):
        MLP(embedding_type="sine")
    with pytest.raises(ValueError, match="images use ncsnpp or ddpm"):
        NET.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)), jnp.zeros(1))
