"""Identities that define a linear SDE, for every entry of SDES, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_lib import CLD, SDES, blocks, get_sde

BETAS = np.linspace(1e-4, 0.02, 1000)
VARIANTS = {name: (name, {}) for name in SDES} | {
    "vp-cosine": ("vp", {"schedule": "cosine"}),
    "vp-discrete": ("vp", {"schedule": "discrete", "betas": BETAS}),
    "vp-discrete-cosine": ("vp", {"schedule": "discrete_cosine"}),
    "cld-thin": ("cld", {"eps": 1e-9}),
    "cld-ramp": ("cld", {"beta_0": 1.5, "beta_1": 5.0, "m_inv": 2.5, "vv_gamma": 0.1}),
}


@pytest.fixture(params=VARIANTS)
def sde(request):
    name, params = VARIANTS[request.param]
    return SDES[name](**params, image_shape=(4, 6))


def times(sde, n=40):
    """Times from t_min to just before T, away from the knots i / 1000 of the discrete schedule."""
    return np.geomspace(sde.t_min, sde.T - 1e-3, n) * (1 + 1e-4 / np.pi)


def derivative(f, t):
    """df/dt at times t (n,), by forward-mode differentiation in float64; the shape of f(t)."""
    with jax.enable_x64(True):
        return np.asarray(jax.jvp(f, (jnp.asarray(t),), (jnp.ones(len(t)),))[1])


def close(a, b, rtol):
    """|a - b| <= rtol times the largest entry of each block b."""
    scale = np.abs(b).max((-1, -2), keepdims=True)
    assert (np.abs(a - b) <= rtol * scale).all(), np.abs((a - b) / scale).max()


def test_psi_is_a_flow(sde):
    t = times(sde)
    s, r = t[::-1], np.roll(t, 7)
    close(sde.Psi(t, t), np.broadcast_to(blocks.identity(sde.k), sde.Psi(t, t).shape), 1e-13)

    def size(block):  # rounding of a product grows with its factors
        return np.abs(block).max((-1, -2))

    gap = size(blocks.matmul(sde.Psi(t, s), sde.Psi(s, r)) - sde.Psi(t, r))
    assert (gap <= 1e-13 * size(sde.Psi(t, s)) * size(sde.Psi(s, r))).all()


def test_psi_solves_its_equation(sde):
    t = times(sde)
    s = 0.4 * t
    F_Psi = blocks.matmul(sde.F(t), sde.Psi(t, s))
    close(derivative(lambda t: sde.Psi(t, s), t), F_Psi, 1e-10)


def test_sigma_solves_the_lyapunov_equation(sde):
    """To 1e-10 of the largest term: near the stationary law the terms cancel."""
    t = times(sde)
    F_Sigma = blocks.matmul(sde.F(t), sde.Sigma(t))
    rate = F_Sigma + blocks.transpose(F_Sigma) + sde.GGt(t)
    largest = np.maximum(np.abs(F_Sigma), np.abs(sde.GGt(t))).max((-1, -2), keepdims=True)
    assert (np.abs(derivative(sde.Sigma, t) - rate) <= 1e-10 * largest).all()


@pytest.mark.parametrize("factor", ["R", "L"])
def test_factors_are_roots_of_sigma(sde, factor):
    t = np.concatenate([[0.0] if sde.Sigma(0.0).min() >= 0 and sde.k == 2 else [], times(sde)])
    root = sde.factor(factor)(t)
    close(blocks.matmul(root, blocks.transpose(root)), sde.Sigma(t), 1e-12)


def test_R_solves_its_equation(sde):
    t = times(sde)
    pull = sde.F(t) + 0.5 * blocks.matmul(sde.GGt(t), blocks.inverse(sde.Sigma(t)))
    close(derivative(sde.R, t), blocks.matmul(pull, sde.R(t)), 1e-6)


def test_float32_keeps_its_digits(sde):
    """Of every block at times down to 1e-5 or t_min: some ten roundings of 6e-8, and where they enter an exponent as
    many as it is large (8.5 for VE, and for Psi of blur, from the fourth power of a sine, 7 where 1e-3 is left).
    The last pivot of a three-fold integral is a ninth of its entry of Sigma: L, and R with it, lose that factor.
    """
    lost = {1: 1, 2: 1, 3: 9}[sde.k]
    t32 = np.concatenate([np.geomspace(min(sde.t_min, 1e-5), sde.T, 400), np.linspace(0.01, sde.T, 400)])
    t32 = t32.astype(np.float32)
    t = t32.astype(np.float64)
    std = np.sqrt(np.diagonal(sde.Sigma(t), axis1=-2, axis2=-1))[..., None]

    def largest(block):
        return np.abs(block).max((-1, -2), keepdims=True)

    blocks_of = {
        "R": (sde.R, std, 2e-6 * lost),
        "L": (sde.L, std, 2e-6 * lost),
        "Sigma": (sde.Sigma, std * np.swapaxes(std, -1, -2), 2e-6),
        "F": (sde.F, largest(sde.F(t)), 5e-6),
        "GGt": (sde.GGt, largest(sde.GGt(t)), 5e-6),
        "Psi(t, 0)": (lambda t: sde.Psi(t, t * 0), largest(sde.Psi(t, 0.0)), 4e-6),
        "Psi(0, t)": (lambda t: sde.Psi(t * 0, t), largest(sde.Psi(0.0, t)), 4e-6),
        "Psi(0.97 t, t)": (lambda t: sde.Psi(t - t / 32, t), largest(sde.Psi(t - t / 32, t)), 4e-6),
    }
    for name, (block, scale, tolerance) in blocks_of.items():
        single = np.asarray(block(jnp.asarray(t32)))
        assert single.dtype == np.float32
        assert (np.abs(block(t) - single) <= tolerance * scale).all(), name


@pytest.mark.parametrize("parameters", [{}, {"eps": 1e-9}, {"m_inv": 1.0, "beta_0": 8.0, "vv_gamma": 0.5}])
def test_the_rotation_of_R_is_its_integral(parameters):
    """For k = 2 it is by an angle: the table against Gauss-Legendre sums over panels from each time to the next."""
    sde = CLD(**parameters)
    x, w = np.polynomial.legendre.leggauss(20)
    t = np.concatenate([[0.0], np.geomspace(1e-8, sde.T, 200)])
    half = np.diff(t) / 2
    nodes = t[:-1, None] + half[:, None] * (1 + x)
    Sigma = sde.Sigma(nodes)[:, :, 0, 0]
    speed = sde.F(nodes)[:, :, 0, 0, 0, 1] * np.sqrt(np.linalg.det(Sigma)) / Sigma[..., 0, 0]
    theta = -np.cumsum(half * (speed @ w))
    turned = sde.rotation(sde.z(t[1:], 0.0))[:, 0, 0]
    np.testing.assert_allclose(turned[:, 0, 0], np.cos(theta), rtol=0, atol=1e-10)
    np.testing.assert_allclose(turned[:, 1, 0], np.sin(theta), rtol=0, atol=1e-10)


def test_prior_is_close_to_the_last_marginal(sde):
    """Of unit-variance data: what Psi(T, 0) still carries is below 2 % of the prior's standard deviation."""
    std = sde.prior_std()
    Psi, Sigma = sde.Psi(sde.T, 0.0), sde.Sigma(sde.T)
    scaled = Sigma / std[:, None] / std[None, :]
    np.testing.assert_allclose(scaled, np.broadcast_to(np.eye(sde.k), scaled.shape), atol=4e-3)
    assert (np.abs(Psi[..., :, 0]) / std).max() < 0.021


def test_prior_draws_follow_prior_std(sde):
    u = np.asarray(sde.prior(jax.random.key(0), (4000, 2, 2, 1)))
    assert u.shape == (4000, 2, 2, sde.k)
    np.testing.assert_allclose(u.std((0, 1, 2)), sde.prior_std(), rtol=0.03)  # 4 sigma: 4 / sqrt(2 * 16000) = 0.022


def test_images_do_not_depend_on_the_batch(sde):
    key = jax.random.key(1)
    eight, three = sde.prior(key, (8, 4, 6, 3)), sde.prior(key, (3, 4, 6, 3))
    np.testing.assert_array_equal(eight[:3], three)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(5, 8))
    np.testing.assert_array_equal(eight[5:], sde.prior(keys, (3, 4, 6, 3)))


def test_perturb_is_mean_plus_R_eps_and_score_undoes_it(sde, x64):
    x = jax.random.normal(jax.random.key(2), (5, 4, 6, 3), jnp.float64)
    t = jnp.linspace(0.01, 0.9, 5, dtype=jnp.float64)
    u_0 = sde.lift(x)
    np.testing.assert_allclose(sde.project(u_0), x, atol=1e-12)
    u, eps = sde.perturb(jax.random.key(3), u_0, t)
    np.testing.assert_allclose(u, sde.mean(u_0, t) + blocks.apply(sde.R(t), eps), atol=1e-12)
    back = blocks.apply(sde.Sigma(t), sde.score(eps, t))  # Sigma score = -R eps
    np.testing.assert_allclose(back, -blocks.apply(sde.R(t), eps), atol=1e-9)


def test_basis_change_is_orthogonal(sde):
    u = jax.random.normal(jax.random.key(4), (2, 4, 6, 2 * sde.k))
    np.testing.assert_allclose(sde.from_image(sde.to_image(u)), u, atol=1e-5)
    np.testing.assert_allclose((sde.to_image(u) ** 2).sum(), (u**2).sum(), rtol=1e-5)


def test_prior_logp_is_the_gaussian_density(sde):
    from scipy.stats import norm

    u = np.asarray(sde.prior(jax.random.key(5), (2, 4, 6, 3)))
    parts = np.split(u, sde.k, axis=-1)
    expected = sum(norm(0, s).logpdf(p).sum((1, 2, 3)) for s, p in zip(sde.prior_std(), parts, strict=True))
    np.testing.assert_allclose(sde.prior_logp(jnp.asarray(u)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("sde", "message"),
    [
        ({"name": "vpp"}, "'vpp' is unknown.*choose from vp"),
        ({"name": "cld", "beta_min": 0.1}, "config.sde.beta_min means nothing to 'cld'; it takes m_inv"),
        ({"name": "cld", "m_inv": -1.0}, "must be positive"),
        ({"name": "vp", "schedule": "sine"}, "'sine' is unknown.*choose from linear"),
        ({"name": "vp", "betas": (0.1, 0.2)}, "belongs to sde.schedule 'discrete'"),
        ({"name": "blur", "min_scale": 0.0}, "sde.min_scale=0.0 must lie in"),
        ({"name": "ve", "sigma_min": 2.0, "sigma_max": 1.0}, "must lie between 0 and"),
    ],
)
def test_bad_settings_say_what_is_wrong(sde, message):
    from ml_collections import ConfigDict

    with pytest.raises(ValueError, match=message):
        get_sde(ConfigDict({"sde": sde, "data": {"image_size": 8}}))


def test_blur_needs_the_image_shape():
    with pytest.raises(ValueError, match="give image_shape"):
        SDES["blur"]()
