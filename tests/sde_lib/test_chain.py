"""The discrete chain against improved-diffusion's and two DDPM code bases' numbers, and against the VP process."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_lib import VP
from sde_lib.chain import MEANINGS, VARIANCES, Chain, cosine_betas, linear_betas, quad_betas
from sde_lib.respacing import kept_steps

SCHEDULES = {
    "linear_1000": Chain(linear_betas(1000)),
    "cosine_1000": Chain(cosine_betas(1000)),
    "cosine_4000": Chain(cosine_betas(4000)),
}
PROCESSES = {
    "eps_fixedlarge": (SCHEDULES["linear_1000"], "eps", "fixed_large", 1.0),
    "eps_fixedsmall": (SCHEDULES["linear_1000"], "eps", "fixed_small", 1.0),
    "eps_learnedrange": (SCHEDULES["cosine_4000"], "eps", "learned_range", 0.25),
    "x0_fixedsmall": (SCHEDULES["cosine_1000"], "x_0", "fixed_small", 1.0),
    "eps_learnedrange_spaced": (SCHEDULES["linear_1000"].respaced("250"), "eps", "learned_range", 1.0),
}


def nhwc(a):
    return jnp.asarray(a.transpose(0, 2, 3, 1) if a.ndim == 4 else a.reshape(-1, 1, 1, 1))


def toy(x, t, learned):
    t = jnp.asarray(t, x.dtype).reshape(-1, 1, 1, 1)
    parts = [jnp.sin(1.3 * x + 0.001 * t), jnp.cos(0.7 * x + 0.002 * t)]
    return jnp.concatenate(parts[: 1 + learned], axis=-1)


@pytest.mark.parametrize("name", SCHEDULES)
def test_tables(golden, name):
    g, chain = golden("torch/idm_schedules.npz"), SCHEDULES[name]
    abar = chain.alphas_cumprod
    ours = vars(chain) | {
        "sqrt_alphas_cumprod": np.sqrt(abar),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - abar),
        "log_one_minus_alphas_cumprod": np.log(1 - abar),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / abar),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / abar - 1),
    }
    tables = [key.split(".")[1] for key in g if key.startswith(f"{name}.")]
    assert len(tables) in (13, 3)
    for table in tables:
        np.testing.assert_allclose(ours[table], g[f"{name}.{table}"], rtol=1e-9)


def close(name, ours, golden_arrays):
    """Per image, within the published rounding of the reference."""
    expected = nhwc(golden_arrays[name])
    error = np.abs(np.broadcast_to(ours, expected.shape) - expected).reshape(len(expected), -1).max(1)
    scale = np.maximum(1, np.abs(expected).reshape(len(expected), -1).max(1))
    assert (error <= 1e-5 * scale + 4 * golden_arrays.get(f"{name}.f32err", 0.0)).all(), (name, error)


@pytest.mark.parametrize("tag", PROCESSES)
def test_forward_process_and_posterior(golden, tag):
    g = golden("torch/idm_process.npz")
    chain, i = PROCESSES[tag][0], jnp.asarray(g[f"{tag}.t"])
    x_0, x, noise = (nhwc(g[key]) for key in ("x_start", "x_t", "noise"))
    close(f"{tag}.q_sample", chain.q_sample(x_0, i, noise), g)
    close(f"{tag}.q_mean", chain.q_mean(x_0, i), g)
    close(f"{tag}.q_post_mean", chain.posterior_mean(x_0, x, i), g)
    close(f"{tag}.q_post_log_variance", chain.log_variance("fixed_small", None, x, i), g)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("tag", PROCESSES)
def test_reverse_step(golden, tag, clip):
    g = golden("torch/idm_process.npz")
    chain, prediction, variance, scale = PROCESSES[tag]
    i, x, prefix = jnp.asarray(g[f"{tag}.t"]), nhwc(g["x_t"]), f"{tag}.{'clip' if clip else 'noclip'}"
    seen = chain.timestep_map[np.asarray(i)] * scale
    np.testing.assert_allclose(seen, g[f"{tag}.t_seen"])
    output = toy(x, seen, variance.startswith("learned"))
    step = chain.reverse(output, x, i, prediction, variance, clip)
    close(f"{prefix}.pred_xstart", step.x_0, g)
    close(f"{prefix}.mean", step.mean, g)
    close(f"{prefix}.log_variance", step.log_variance, g)
    if f"{prefix}.p_sample" in g:
        noise = jnp.exp(0.5 * step.log_variance) * nhwc(g["step_noise"]) * (i > 0).reshape(-1, 1, 1, 1)
        close(f"{prefix}.p_sample", step.mean + noise, g)


def test_kept_steps(golden):
    cases = json.loads(golden.path("torch/idm_space_timesteps.json").read_text())
    for case in cases["good"]:
        text = case["section_counts"]
        text = text if isinstance(text, str) else ",".join(map(str, text))
        np.testing.assert_array_equal(kept_steps(case["num_timesteps"], text), case["result"])
    for case in cases["bad"]:
        with pytest.raises(ValueError, match="sampling.respacing"):
            kept_steps(case["num_timesteps"], case["section_counts"])


@pytest.mark.parametrize(
    ("text", "key"), [("uniform50", "seq_u50"), ("uniform300", "seq_u300"), ("quad30", "seq_quad30")]
)
def test_skip_schedules(golden, text, key):
    """Repeated steps of the reference's quadratic schedule do nothing: here they are kept once."""
    np.testing.assert_array_equal(kept_steps(1000, text), np.unique(golden("torch/xyf_ddpm.npz")[f"{key}.indices"]))


def test_trailing_ends_at_the_noisiest_step():
    np.testing.assert_array_equal(kept_steps(10, "trailing5"), [1, 3, 5, 7, 9])
    np.testing.assert_array_equal(kept_steps(12, ""), np.arange(12))


@pytest.mark.parametrize(("text", "kept"), [("0,5", range(5, 10)), ("5,0", range(5)), ("2,0,3", [0, 3, 7, 8, 9])])
def test_sections_may_be_skipped(text, kept):
    """As improved-diffusion's code skips a section of which it takes no step."""
    np.testing.assert_array_equal(kept_steps(10, text), kept)


def test_names_of_a_ddpm_code_base():
    """uniform-linspace is torch.linspace(0, N - 1, n).long(), whose float32 leaves 332 of 999 * 73 / 219 = 333."""
    np.testing.assert_array_equal(kept_steps(1000, "uniform-linspace10"), 111 * np.arange(10))
    np.testing.assert_array_equal(kept_steps(1000, "uniform-linspace5"), [0, 249, 499, 749, 999])
    assert kept_steps(1000, "uniform-linspace220")[73] == 332
    np.testing.assert_array_equal(kept_steps(12, "none"), np.arange(12))
    for name, same in (("uniform-leading", "uniform"), ("uniform-trailing", "trailing")):
        np.testing.assert_array_equal(kept_steps(1000, f"{name}30"), kept_steps(1000, f"{same}30"))


@pytest.mark.parametrize("text", ["1", "0,1", "uniform1", "uniform-linspace1", "uniform-trailing1", "quad1", "ddim1"])
def test_a_single_step_is_the_noisiest(text):
    np.testing.assert_array_equal(kept_steps(1000, text), [999])


def test_betas_of_the_schedule_quad():
    """DDPM's ends, and equal differences of the square roots, in the process too."""
    betas = quad_betas(1000)
    np.testing.assert_allclose(betas[[0, -1]], [1e-4, 0.02], rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.sqrt(betas), 2), 0, atol=1e-15)
    np.testing.assert_array_equal(VP(schedule="quad").chain.betas, betas)


def test_a_given_mean_is_not_clipped():
    """Of a network for the step before: on its own chain the mean is its output, as in improved-diffusion, x_0 clipped.

    On kept steps only, the mean of the longer step follows from x_0, clipped like that of any other prediction.
    """
    chain = Chain(linear_betas(1000))
    x, f, i = jnp.full((1, 1, 1, 1), 0.3), jnp.full((1, 1, 1, 1), 0.9), jnp.array([500])
    step = chain.reverse(f, x, i, "previous", clip=True)
    assert step.mean.item() == f.item() and step.x_0.item() == 1.0
    kept = chain.respaced("10")
    step = kept.reverse(f, x, jnp.array([5]), "previous", clip=True)
    np.testing.assert_allclose(step.mean, kept.posterior_mean(jnp.ones_like(x), x, jnp.array([5])), rtol=1e-6)


@pytest.mark.parametrize("respacing", ["", "ddim25", "quad15", "10,15,20"])
def test_the_chain_is_the_process_at_its_times(respacing):
    """abar = Psi(t, 0)^2, 1 - abar = Sigma(t), and kept steps leave both as they are."""
    sde = VP(schedule="discrete_cosine", num_steps=300)
    chain = sde.chain.respaced(respacing)
    np.testing.assert_allclose(chain.alphas_cumprod, sde.Psi(chain.times, 0.0)[:, 0, 0, 0, 0] ** 2, rtol=1e-10)
    np.testing.assert_allclose(1 - chain.alphas_cumprod, sde.Sigma(chain.times)[:, 0, 0, 0, 0], rtol=1e-10)
    np.testing.assert_allclose(chain.step(chain.times), chain.timestep_map, atol=1e-10)


@pytest.mark.parametrize("respacing", ["", "20"])
@pytest.mark.parametrize("prediction", MEANINGS)
def test_the_target_of_every_prediction_gives_back_x_0(prediction, respacing, x64):
    chain = Chain(linear_betas(100)).respaced(respacing)
    i = jnp.array([0, 1, chain.n // 2, chain.n - 1])
    x_0, noise = jax.random.normal(jax.random.key(0), (2, 4, 3, 3, 1))
    x = chain.q_sample(x_0, i, noise)
    f = chain.target(prediction, x_0, x, i, noise)
    np.testing.assert_allclose(chain.predicted_x_0(prediction, f, x, i), x_0, atol=1e-9)
    np.testing.assert_allclose(chain.eps_from_x_0(x_0, x, i), noise, atol=1e-9)


def test_posterior_is_bayes_rule():
    """q(x_{i-1} | x_i, x_0) from the joint Gaussian of two neighbouring states."""
    chain = Chain(linear_betas(50)).respaced("10")
    i = np.arange(1, 10)
    before, beta = chain.alphas_cumprod[i - 1], chain.betas[i]
    precision = 1 / (1 - before) + (1 - beta) / beta
    np.testing.assert_allclose(chain.posterior_variance[i], 1 / precision, rtol=1e-10)
    np.testing.assert_allclose(chain.posterior_mean_coef1[i], np.sqrt(before) / (1 - before) / precision, rtol=1e-10)
    np.testing.assert_allclose(chain.posterior_mean_coef2[i], np.sqrt(1 - beta) / beta / precision, rtol=1e-10)


def test_learned_range_has_the_fixed_variances_at_its_ends():
    chain, x, i = Chain(linear_betas(50)), jnp.zeros((3, 2, 2, 1)), jnp.array([1, 20, 49])
    small, large = (chain.log_variance(kind, None, x, i) for kind in VARIANCES[:2])
    np.testing.assert_allclose(
        chain.log_variance("learned_range", -jnp.ones_like(x), x, i), jnp.broadcast_to(small, x.shape)
    )
    np.testing.assert_allclose(
        chain.log_variance("learned_range", jnp.ones_like(x), x, i), jnp.broadcast_to(large, x.shape), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kept_steps(10, "every2"), "'every2': write 250"),
        (lambda: kept_steps(10, "quad11"), "cannot keep 11 of 10"),
        (lambda: kept_steps(10, "0,0"), "cannot keep 0 of 10"),
        (lambda: kept_steps(10, "0,6"), "cannot keep 6 of the 5 steps of section 2"),
        (lambda: VP(schedule="quadratic"), "choose from linear, cosine, discrete, discrete_cosine, quad"),
        (lambda: Chain(cosine_betas(5)).predicted_x_0("score", 0, 0, 0), "'score' is not for a discrete chain"),
        (lambda: Chain(cosine_betas(5)).log_variance("learned", None, jnp.zeros((1, 1)), 0), "needs a network with"),
        (lambda: Chain(cosine_betas(5)).log_variance("large", None, jnp.zeros((1, 1)), 0), "'large' is unknown"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
