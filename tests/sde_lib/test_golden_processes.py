"""The processes of gDDIM and score_sde against numbers from their own code."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from sde_lib import CLD, VE, VP, Blur, SubVP, blocks

CLD_SGM = ("cifar_hsm", "linbeta_hsm")


def components(u):
    """(B, H, W, C, 2) of the golden files -> (B, H, W, 2 C)."""
    return np.concatenate([u[..., 0], u[..., 1]], axis=-1)


@pytest.fixture(scope="module")
def cld():
    return CLD()


def test_cld_blocks(golden, cld):
    g = golden("jax/cld_sde_default.npz")
    for name, tolerance in (("R", 1e-9), ("Sigma", 1e-9)):
        np.testing.assert_allclose(getattr(cld, name)(g["t"])[:, 0, 0], g[f"{name}_exact"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(getattr(cld, name)(g["t"])[:, 0, 0], g[name], rtol=0, atol=5e-8)
    np.testing.assert_allclose(cld.Psi(g["psi_t"], g["psi_s"])[:, 0, 0], g["psi_exact"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(cld.F(g["t"])[:, 0, 0], g["F"], atol=1e-10)
    G = g["G"]
    np.testing.assert_allclose(cld.GGt(g["t"])[:, 0, 0], G @ G.swapaxes(-1, -2), atol=1e-10)


def test_cld_score_and_perturbation(golden, cld, x64):
    g = golden("jax/cld_sde_default.npz")
    score = cld.score(jnp.asarray(components(g["eps"])), jnp.asarray(g["eps_t"]))
    np.testing.assert_allclose(score, components(g["score_exact"]), rtol=0, atol=1e-6 * np.abs(g["score"]).max())
    t, u_0 = jnp.asarray(g["pert_t"]), jnp.asarray(components(g["pert_batch"]))
    np.testing.assert_allclose(cld.mean(u_0, t), components(g["pert_mean"]), atol=1e-10)
    u = cld.mean(u_0, t) + blocks.apply(cld.R(t), jnp.asarray(components(g["pert_noise"])))
    np.testing.assert_allclose(u, components(g["pert_out"]), atol=5e-8)


@pytest.mark.parametrize("tag", CLD_SGM)
def test_cld_of_cld_sgm(golden, tag):
    """CLD-SGM adds its numerical eps to the variances at t, after the propagation; the rest agrees."""
    g = golden("torch/cld_sde.npz")
    beta_0, beta_1, m_inv, gamma, eps = {
        "cifar_hsm": (4.0, 0.0, 4.0, 0.04, 1e-9),
        "linbeta_hsm": (1.5, 5.0, 2.5, 0.1, 1e-9),
    }[tag]
    sde = CLD(m_inv=m_inv, beta_0=beta_0, beta_1=beta_1, vv_gamma=gamma, eps=1e-20)
    t = g["t"]
    Sigma = sde.Sigma(t)[:, 0, 0] + eps * np.eye(2)
    for name, entry in (("xx", (0, 0)), ("xv", (0, 1)), ("vv", (1, 1))):
        np.testing.assert_allclose(Sigma[(slice(None), *entry)], g[f"{tag}.var_{name}"], rtol=1e-5)
    u = jnp.asarray(g["u"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(
        sde.mean(u, jnp.asarray(t)), g[f"{tag}.mean"].transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5
    )
    drift = blocks.apply(sde.F(jnp.asarray(t)), u)
    np.testing.assert_allclose(drift, g[f"{tag}.sde_drift"].transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sde.GGt(t)[:, 0, 0, 1, 1], g[f"{tag}.sde_diffusion_v"] ** 2, rtol=1e-9)
    log_prior = g[f"{tag}.prior_logp_x"] + g[f"{tag}.prior_logp_v"]
    np.testing.assert_allclose(sde.prior_logp(u), log_prior, rtol=1e-5)


@pytest.fixture(params=["vp", "subvp", "ve"])
def scalar(request, golden):
    g = golden("jax/sde_quantities.npz")
    config = json.loads(str(g["config_json"]))[request.param]
    config.pop("N")
    return request.param, {"vp": VP, "subvp": SubVP, "ve": VE}[request.param](**config), g


def test_score_sde_marginals_and_coefficients(scalar):
    name, sde, g = scalar
    t, x = g["t"], g["x"]
    flat = (slice(None), 0, 0, 0, 0)
    np.testing.assert_allclose(sde.Psi(t, 0.0)[..., 0] * x, g[f"{name}_marginal_0"], rtol=1e-9)
    np.testing.assert_allclose(sde.R(t)[flat], g[f"{name}_marginal_1"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sde.F(t)[..., 0] * x, g[f"{name}_sde_0"], rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(sde.GGt(t)[flat]), g[f"{name}_sde_1"], rtol=1e-9, atol=1e-12)


def test_score_sde_reverse_drift_and_prior(scalar, x64):
    name, sde, g = scalar
    t, x, score = g["t"], g["x"], g["toy_score"]
    for pf, half in ((0, 1.0), (1, 0.5)):
        drift = sde.F(t)[..., 0] * x - half * sde.GGt(t)[..., 0] * score
        np.testing.assert_allclose(drift, g[f"{name}_rev_sde_drift_pf{pf}"], rtol=1e-9, atol=1e-9)
    z = jnp.asarray(g["z"]) * sde.prior_std()[0]
    np.testing.assert_allclose(sde.prior_logp(z), g[f"{name}_prior_logp"], rtol=1e-9)


def test_discrete_betas(golden):
    g = golden("jax/sde_quantities.npz")
    N = len(g["vp_discrete_betas"])
    sde = VP(schedule="discrete", betas=g["vp_discrete_betas"])
    t = np.arange(1, N + 1) / N
    np.testing.assert_allclose(sde.Psi(t, 0.0)[:, 0, 0, 0, 0] ** 2, g["vp_alphas_cumprod"], rtol=1e-9)
    np.testing.assert_allclose(sde.R(t)[:, 0, 0, 0, 0], g["vp_sqrt_1m_alphas_cumprod"], rtol=1e-9)


def test_deis_schedules(golden):
    """jax_deis: its linear schedule is VP's; its cosine one is not divided by alpha(0), which cancels in Psi."""
    g = golden("jax/deis_vp_linear.npz")
    config = json.loads(str(g["config_json"]))
    sde = VP(beta_min=config["beta_0"], beta_max=config["beta_1"])
    np.testing.assert_allclose(sde.Psi(g["t"], 0.0)[:, 0, 0, 0, 0] ** 2, g["alpha"], rtol=1e-9)
    c = golden("jax/deis_vp_cos.npz")
    cosine = VP(schedule="cosine")
    t = c["t"]
    np.testing.assert_allclose(-2 * cosine.F(t)[:, 0, 0, 0, 0], -c["dlogalpha"], rtol=1e-9)


def test_blur(golden, x64):
    """Levels, transforms, means and start time of gDDIM's blur process at the recommended 1e-10."""
    g = golden("jax/blur_sde.npz")
    sde = Blur(image_shape=(32, 32))
    t = g["t"]
    np.testing.assert_allclose(sde.T, g["sampling_T"], rtol=1e-12)
    np.testing.assert_allclose(sde.eigenvalues, g["labda"][0, :, :, 0], rtol=1e-12)
    later = t > 0  # at t = 0 itself our data are untouched, where alpha(0) is 0.99996
    np.testing.assert_allclose(sde.Psi(t, 0.0)[later, :, :, 0], g["y_mean_coef"][later], atol=1e-10)
    np.testing.assert_allclose(sde.R(t)[:, 0, 0, 0, 0], g["y_std_coef"], atol=1e-10)
    x, times = jnp.asarray(g["img"]), jnp.asarray(g["pert_t"])
    np.testing.assert_allclose(sde.from_image(x), g["img_dct"], atol=1e-10)
    mean = sde.to_image(sde.mean(sde.lift(x), times))
    np.testing.assert_allclose(mean, g["pert_mean"], atol=1e-10)
    noise = jnp.asarray(g["pert_noise"])
    u = sde.mean(sde.lift(x), times) + blocks.apply(sde.R(times), sde.from_image(noise))
    np.testing.assert_allclose(sde.to_image(u), g["pert_out"], atol=1e-10)
    clean = u - blocks.apply(sde.R(times), sde.from_image(noise))
    x_0 = sde.project(blocks.apply(sde.Psi(times * 0, times), clean))
    np.testing.assert_allclose(x_0, g["xeps2x0"], atol=1e-9)
