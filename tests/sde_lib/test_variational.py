"""Terms of the bound against improved-diffusion's numbers and against exact integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sde_lib import variational
from sde_lib.chain import Chain, cosine_betas, linear_betas
from tests.sde_lib.test_chain import nhwc, toy

CASES = {
    "learned_clip": (Chain(linear_betas(1000)).respaced("10"), "learned_range"),
    "fixedlarge": (Chain(cosine_betas(25)), "fixed_large"),
}


def reverse(chain, variance, x, i, scale):
    output = toy(x, chain.timestep_map[np.asarray(i)] * scale, variance.startswith("learned"))
    return chain.reverse(output, x, i, "eps", variance, clip=True)


@pytest.mark.parametrize("tag", CASES)
def test_terms_of_the_bound(golden, tag):
    g = golden("torch/idm_bpd.npz")
    chain, variance = CASES[tag]
    x_0 = nhwc(g["x_start"])
    i, x = jnp.asarray(g[f"{tag}.vb1.t"]), nhwc(g[f"{tag}.vb1.x_t"])
    step = reverse(chain, variance, x, i, 1.0)
    terms = variational.step_bits(chain, x_0, x, i, step)
    np.testing.assert_allclose(terms, g[f"{tag}.vb1.output"], rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(step.x_0, nhwc(g[f"{tag}.vb1.pred_xstart"]), atol=1e-5)
    np.testing.assert_allclose(variational.prior_bits(chain, x_0), g[f"{tag}.prior_bpd"], rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("tag", CASES)
def test_bound_of_whole_images(golden, tag):
    """All steps with the published noise: column 0 there is the noisiest step."""
    g = golden("torch/idm_bpd.npz")
    chain, variance = CASES[tag]
    x_0, noises = nhwc(g["x_start"]), g[f"{tag}.noises"]
    found = []
    for i in range(chain.n):
        steps = jnp.full(len(x_0), i)
        noise = nhwc(noises[chain.n - 1 - i])

        def reverse_at(x, i):
            return reverse(chain, variance, x, i, 1.0)

        found.append(variational.terms(chain, reverse_at, x_0, steps, noise))
    bits, x_0_error, eps_error = (np.stack(v)[::-1].T for v in zip(*found, strict=True))
    np.testing.assert_allclose(bits, g[f"{tag}.vb"], rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(x_0_error, g[f"{tag}.xstart_mse"], rtol=2e-4)
    np.testing.assert_allclose(eps_error, g[f"{tag}.mse"], rtol=2e-4)
    total = bits.sum(1) + variational.prior_bits(chain, x_0)
    np.testing.assert_allclose(total, g[f"{tag}.total_bpd"], rtol=5e-4)


def test_a_step_counts_with_its_mean():
    """KL to the mean itself, where a clipped x_0 would give another (a network for the step before)."""
    chain, x_0, i = Chain(linear_betas(100)), jnp.full((1, 2, 2, 1), 0.2), jnp.array([50])
    x, f = chain.q_sample(x_0, i, jnp.full_like(x_0, 0.7)), jnp.full_like(x_0, 0.9)
    step = chain.reverse(f, x, i, "previous", "fixed_small", clip=True)
    gap = np.asarray(chain.posterior_mean(x_0, x, i) - f, np.float64)
    expected = 0.5 * gap**2 / chain.posterior_variance[50] / np.log(2)  # one variance on both sides
    np.testing.assert_allclose(variational.step_bits(chain, x_0, x, i, step), expected.mean(), rtol=1e-4)


def test_bound_sums_its_terms_over_the_steps():
    chain, variance = CASES["learned_clip"]
    x_0 = jax.random.uniform(jax.random.key(0), (2, 3, 3, 1), minval=-1)
    keys = jax.random.split(jax.random.key(1), 2)

    def reverse_at(x, i):
        t = jnp.asarray(chain.timestep_map)[i]
        return chain.reverse(toy(x, t, True), x, i, "eps", variance, clip=True)

    found, prior = variational.bound(chain, reverse_at, keys, x_0)
    assert found.bits.shape == (chain.n, 2) and prior.shape == (2,)
    step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, 4)
    noise = jnp.stack([jax.random.normal(key, (3, 3, 1)) for key in step_keys])
    expected = variational.terms(chain, reverse_at, x_0, jnp.full(2, 4), noise)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours[4], theirs, rtol=1e-5)


def test_divergence_of_normals():
    """Against the integral of p log(p / q)."""
    m, v, gap, w = 0.3, 0.8, -0.6, 1.7
    p, q = stats.norm(m, v**0.5), stats.norm(m + gap, w**0.5)
    x = np.linspace(-12, 12, 200_001)
    expected = np.trapezoid(p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), x)
    np.testing.assert_allclose(variational.normal_kl(gap, np.log(v), np.log(w)), expected, rtol=1e-5)


def test_probabilities_of_the_grey_levels_add_up_to_one():
    levels = jnp.arange(256) / 127.5 - 1
    for mean, deviation in ((0.1, 0.2), (-0.9, 0.5), (0.99, 0.03)):
        log_p = variational.log_bin_probability(levels, mean, jnp.full(256, 2 * np.log(deviation)))
        np.testing.assert_allclose(jnp.exp(log_p).sum(), 1, atol=1e-5)


def test_a_bin_holds_the_integral_of_the_normal_density():
    """The tanh formula is within 4e-4 of the distribution function, so within 8e-4 for a difference."""
    x, mean, deviation = 101 / 127.5 - 1, -0.15, 0.04
    exact = stats.norm(mean, deviation).cdf(x + 1 / 255) - stats.norm(mean, deviation).cdf(x - 1 / 255)
    log_p = variational.log_bin_probability(jnp.array(x), mean, jnp.array(2 * np.log(deviation)))
    assert abs(float(jnp.exp(log_p)) - exact) < 8e-4


def test_the_true_posterior_has_no_divergence():
    chain = Chain(linear_betas(100))
    x_0, noise = jax.random.uniform(jax.random.key(0), (2, 4, 3, 3, 1), minval=-1)
    i = jnp.array([1, 30, 60, 99])
    x = chain.q_sample(x_0, i, noise)
    step = chain.reverse(chain.target("x_0", x_0, x, i, noise), x, i, "x_0", "fixed_small")
    np.testing.assert_allclose(variational.step_bits(chain, x_0, x, i, step), 0, atol=1e-7)
