"""Likelihoods and latents by the probability flow, on Gaussian data whose eps and density are known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from samplers import flow
from samplers.interpolation import slerp
from samplers.likelihood import Likelihood, bits_per_dim, complete
from sde_lib import SDES
from sde_lib.exact import data_covariance, gaussian_eps, mixture_eps

MEAN, VARIANCE, T_MIN = 0.3, 0.4, 1e-5
N, D = 6, 8
x = MEAN + np.sqrt(VARIANCE) * np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
WANTED = -norm.logpdf(x, MEAN, np.sqrt(VARIANCE)).mean(1) / np.log(2)


def density(name, estimator, data=x, t_min=T_MIN):
    """(process, exact eps, states, log q of what was added, Density) of `data` under the exact model."""
    sde = SDES[name]()
    eps_fn = gaussian_eps(sde, np.full(D, MEAN, np.float32), VARIANCE)
    u_0, log_q = complete(sde, jax.random.key(1), jnp.asarray(data))
    likelihood = Likelihood(sde, t_min=t_min, estimator=estimator, tolerance=1e-6)
    return sde, eps_fn, u_0, log_q, jax.jit(lambda key, u: likelihood(eps_fn, key, u))(jax.random.key(2), u_0)


def closed_form(sde):
    """(u_T, their standard deviation, bits/dim) of x for k = 1: the flow keeps each number at its quantile.

    The prior is not quite the law of u_T, which counts in bits as well.
    """
    psi, variance = sde.Psi(sde.T, 0.0).item(), (sde.Psi(sde.T, 0.0) ** 2 * VARIANCE + sde.Sigma(sde.T)).item()
    u_T = psi * MEAN + (x - MEAN) * np.sqrt(variance / VARIANCE)
    gain = norm.logpdf(u_T, psi * MEAN, np.sqrt(variance)) - norm.logpdf(u_T, 0, sde.prior_std())
    return u_T, np.sqrt(variance), WANTED + gain.mean(1) / np.log(2)


@pytest.mark.parametrize("name", ["vp", "subvp", "ve"])
def test_bits_of_a_gaussian_are_the_closed_form_and_images_come_back_from_their_latents(name):
    sde, eps_fn, u_0, log_q, found = density(name, "exact")
    assert not log_q.any()
    u_T, std, wanted = closed_form(sde)
    np.testing.assert_allclose(bits_per_dim(found.logp, D), wanted, atol=1e-3)
    np.testing.assert_allclose(found.latent, u_T, atol=1e-3 * std)
    back, _ = jax.jit(lambda u: flow.follow(sde, eps_fn, u, (sde.T, T_MIN), 1e-6, 1e-6))(found.latent)
    np.testing.assert_allclose(sde.project(back[-1]), x, atol=1e-4)  # a hundred steps of the tolerance


def test_hutchinson_is_unbiased_and_exact_for_signs_where_the_derivative_is_diagonal():
    """With Gaussian probes tr(A) of A = a I has variance 2 a^2 D: the mean of many copies lies within 4 errors."""
    copies = np.repeat(x[:1], 256, axis=0)
    sde, *_, found = density("vp", "gaussian", copies)
    gaussian, (_, _, exact) = bits_per_dim(found.logp, D), closed_form(sde)
    error = gaussian.std() / np.sqrt(len(copies))
    assert error > 1e-3 and abs(gaussian.mean() - exact[0]) < 4 * error
    np.testing.assert_allclose(bits_per_dim(density("vp", "rademacher")[-1].logp, D), exact, atol=1e-3)


def test_the_bound_of_cld_is_log_p_of_state_minus_log_q_and_below_log_p_of_x(t_min=0.02):
    """(x, v) at t_min is Gaussian per pixel with P = Psi C Psi^T + Sigma, so the bound and its gap are known."""
    copies = np.repeat(x[:1], 128, axis=0)
    sde, _, u_0, log_q, found = density("cld", "exact", copies, t_min)
    Psi = sde.Psi(t_min, 0.0)[0, 0]
    P = Psi @ data_covariance(sde, VARIANCE)[0, 0] @ Psi.T + sde.Sigma(t_min)[0, 0]
    gap = np.stack(np.split(np.asarray(u_0, np.float64), 2, axis=1), axis=-1) - Psi @ [MEAN, 0]
    state = -0.5 * np.einsum("nda,ab,ndb->n", gap, np.linalg.inv(P), gap) - D / 2 * np.log(
        (2 * np.pi) ** 2 * np.linalg.det(P)
    )
    np.testing.assert_allclose(found.logp, state, atol=1e-2)
    # log q is the density of N(0, vv_gamma / m_inv + eps) at the v that was drawn.
    variance = sde.Sigma(0.0)[0, 0, 1, 1]
    assert variance == pytest.approx(0.04 / 4 + 1e-6)
    np.testing.assert_allclose(log_q, norm.logpdf(u_0[:, D:], 0, np.sqrt(variance)).sum(1), rtol=1e-5)
    # In the mean over v the bound is log p(x) - KL(q || p(v | x)), p(v | x) = N(m, s) from the blocks of P.
    log_p = norm.logpdf(gap[0, :, 0], 0, np.sqrt(P[0, 0])).sum()
    m = P[1, 0] / P[0, 0] * gap[0, :, 0] + (Psi @ [MEAN, 0])[1]
    s = P[1, 1] - P[1, 0] ** 2 / P[0, 0]
    KL = 0.5 * (np.log(s / variance) + (variance + m**2) / s - 1).sum()
    bound = np.asarray(found.logp - log_q, np.float64)
    assert KL > 0 and abs(bound.mean() - (log_p - KL)) < 4 * bound.std() / np.sqrt(len(bound)) + 1e-2


def test_blurring_counts_the_trace_of_every_frequency():
    """The exact density at t_min of data of mean 0 in the basis of the DCT, which is orthonormal: no determinant."""
    sde = SDES["blur"](image_shape=(2, 4))
    images = jnp.asarray(x.reshape(N, 2, 4, 1))
    eps_fn = gaussian_eps(sde, np.zeros((2, 4, 1), np.float32), VARIANCE)
    u_0, _ = complete(sde, jax.random.key(0), images)
    likelihood = Likelihood(sde, t_min=0.01, estimator="exact")
    found = jax.jit(lambda u: likelihood(eps_fn, jax.random.key(0), u))(u_0)
    psi, sigma2 = sde.Psi(0.01, 0.0)[..., 0], sde.Sigma(0.01)[..., 0]
    wanted = norm.logpdf(u_0, 0, np.sqrt(psi**2 * VARIANCE + sigma2)).sum((1, 2, 3))
    np.testing.assert_allclose(found.logp, wanted, atol=1e-3 * D)


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 1.0)])
def test_a_uniform_density_over_256_levels_has_8_bits(low, high):
    logp = np.full(3, -D * np.log(high - low))
    np.testing.assert_allclose(bits_per_dim(logp, D, bin_width=(high - low) / 256), 8, rtol=1e-12)


def test_bits_of_narrow_bins_are_those_of_the_discrete_probabilities():
    """A Gaussian that is smooth on the scale of a level: the sum over bins and the density agree."""
    edges = np.linspace(-1, 1, 257)
    middle = (edges[:-1] + edges[1:]) / 2
    discrete = -np.log2(np.diff(norm.cdf(edges, 0.1, 0.2)))[100:160]
    np.testing.assert_allclose(bits_per_dim(norm.logpdf(middle, 0.1, 0.2)[100:160], 1, 2 / 256), discrete, atol=1e-3)


def test_unknown_estimators_and_too_many_exact_derivatives_are_refused():
    with pytest.raises(ValueError, match="rademacher, gaussian, exact"):
        Likelihood(SDES["vp"](), t_min=T_MIN, estimator="skilling")
    sde = SDES["vp"]()
    with pytest.raises(ValueError, match="3072 dimensions"):
        Likelihood(sde, t_min=T_MIN, estimator="exact")(lambda u, t: u, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def test_slerp_keeps_ends_and_norm():
    a, b = np.random.default_rng(0).standard_normal((2, 50))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    for fraction, wanted in ((0.0, a), (1.0, b), (0.5, (a + b) / np.linalg.norm(a + b) * np.linalg.norm(a))):
        np.testing.assert_allclose(slerp(a, b, fraction), wanted, atol=1e-5)
    np.testing.assert_allclose(slerp(a, a, 0.3), a, atol=1e-5)


def test_the_flow_is_that_of_the_covariance():
    """d Sigma_x / dt of Gaussian data by the velocity equals F P + P F^T + G G^T, for a process with two components."""
    sde, t = SDES["cld"](), np.float32(0.3)
    eps_fn = gaussian_eps(sde, np.zeros(1, np.float32), VARIANCE)
    at = jnp.asarray(t)
    M = jax.jit(jax.jacobian(lambda u: sum(flow.velocity(sde, eps_fn, at, u))))(jnp.zeros(2))
    Psi = sde.Psi(t, 0.0)[0, 0]
    P = Psi @ data_covariance(sde, VARIANCE)[0, 0] @ Psi.T + sde.Sigma(t)[0, 0]
    F = sde.F(t)[0, 0]
    np.testing.assert_allclose(M @ P + P @ M.T, F @ P + P @ F.T + sde.GGt(t)[0, 0], atol=1e-4)


MEANS, VARIANCES = np.array([[-1.0, 0.5], [0.8, -0.2], [0.2, 1.0]]), np.array([0.05, 0.1, 0.2])


def mixture_logp(sde, u, t):
    """Log density at time t of lifted points u (B, k*2) of the mixture of MEANS and VARIANCES, float64."""
    Psi, Sigma = sde.Psi(t, 0.0)[0, 0], sde.Sigma(t)[0, 0]
    grid = np.asarray(u, np.float64).reshape(len(u), sde.k, 2)
    parts = []
    for mean, variance in zip(MEANS, VARIANCES, strict=True):
        P = variance * Psi[:, :1] @ Psi[:, :1].T + Sigma
        axes = [multivariate_normal(Psi[:, 0] * m, P).logpdf(grid[..., axis]) for axis, m in enumerate(mean)]
        parts.append(np.log(1 / 3) + np.sum(axes, axis=0))
    return logsumexp(np.array(parts), axis=0)


@pytest.mark.parametrize("name", [name for name in SDES if name != "blur"])
def test_log_p_of_a_mixture_to_any_tolerance(name):
    """The first step is chosen from the error: CLD's boundary layer is not stepped over.

    The change of log p along the flow, against the exact one between its ends: a hundred steps may each be off by the
    tolerance, and 2e-3 is what float32 leaves of eps near t_min (1e-7 of u over a noise of 1e-3, through the trace).
    """
    sde = SDES[name]()
    eps_fn = mixture_eps(sde, MEANS, VARIANCES)
    points = np.repeat(MEANS, 2, axis=0) + 0.3 * np.random.default_rng(0).standard_normal((6, 2))
    u_0, _ = complete(sde, jax.random.key(1), jnp.asarray(points, jnp.float32))
    begin = sde.t_min

    @jax.jit
    def follow(tolerance):
        return Likelihood(sde, t_min=begin, estimator="exact", tolerance=tolerance)(eps_fn, jax.random.key(2), u_0)

    for tolerance in (1e-3, 1e-4, 1e-5, 1e-6):
        found = follow(tolerance)
        change = found.logp - sde.prior_logp(found.latent)
        exact = mixture_logp(sde, u_0, begin) - mixture_logp(sde, found.latent, sde.T)
        assert np.abs(change - exact).max() <= 100 * tolerance + 2e-3, tolerance


def test_a_network_that_gives_no_number_stops_the_flow_at_once():
    sde = SDES["vp"]()
    u_T = sde.prior(jax.random.key(0), (2, 2))
    states, nfe = flow.follow(sde, lambda u, t: u * jnp.nan, u_T, (sde.T, sde.t_min), 1e-3, 1e-3)
    assert np.isnan(states).all()
    assert nfe.max() < 1000
