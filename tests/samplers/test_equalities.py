"""Samplers that are each other under another name, and published formulas written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.integrate import solve_ivp

from samplers import coefficients, get_sampler, grids, stochastic
from samplers.euler_maruyama import euler_maruyama
from samplers.exponential import integrate
from samplers.predictor_corrector import reverse_diffusion
from sde_lib import CLD, SDES, VE, VP, SubVP, blocks

SHAPE = (2, 2, 3, 1)


@pytest.fixture(params=SDES)
def sde(request):
    return SDES[request.param](image_shape=SHAPE[1:3])


def toy(u, t):
    """A bounded network, not the eps of any data."""
    return 0.4 * u + 0.2 * jnp.sin(1.3 * u + 0.7 * t.reshape(-1, *[1] * (u.ndim - 1)))


def run(sde, method, network=toy, **keys):
    """Samples of `method` from one start and key, in float64."""
    sampler = get_sampler(ConfigDict({"sampling": {"method": method, "nfe": 8, "noise_removal": False, **keys}}), sde)
    u_T = sde.prior(jax.random.key(0), SHAPE).astype(jnp.float64)
    return np.asarray(sampler(network, jax.random.key(1), u_T).u)


def same(a, b, rtol=1e-10):
    assert np.abs(a - b).max() <= rtol * np.abs(b).max()


def test_data_and_eps_forms_agree_at_order_0(sde, x64):
    """DPM-Solver++ of order 1, stochastic gDDIM without noise and gDDIM of order 0 are DDIM."""
    ddim = run(sde, "gddim", deis_order=0)
    same(run(sde, "sdeis", lambda_coef=0.0), ddim)
    same(run(sde, "order0"), ddim)
    times = grids.make_grid(None, sde, 8)
    rows = coefficients.multistep(sde, times, 0, prediction="data", variable="log_rho")
    u_T = sde.prior(jax.random.key(0), SHAPE).astype(jnp.float64)
    same(np.asarray(integrate(toy, u_T, rows)[0]), ddim)


def test_rho_ab_of_order_0_is_t_ab_of_order_0(sde):
    times = grids.power(sde, 8, 2)
    t_ab, rho_ab = (coefficients.multistep(sde, times, 0, variable=v).eps for v in ("t", "rho"))
    np.testing.assert_allclose(rho_ab, t_ab, rtol=1e-12)


def test_heun_without_churn_is_rk_2heun(x64):
    for sde in (VP(), VE()):
        same(run(sde, "heun"), run(sde, "rho_rk", rk_method="2heun"))


def test_ancestral_sampling_of_ve_is_stochastic_gddim_at_lambda_1(x64):
    """With the same noise, that of the posterior."""
    same(
        run(VE(), "sdeis", lambda_coef=1.0, grid="power", ts_order=2),
        run(VE(), "pc", predictor="ancestral", corrector="none", grid="power", ts_order=2),
    )


def test_ddim_with_eta_1_is_stochastic_gddim_at_lambda_1(x64):
    vp = VP()
    t = grids.power(vp, 8, 2)
    alpha = np.exp(-(0.1 * t + 19.9 * t**2 / 2))  # alpha_bar
    x = vp.prior(jax.random.key(0), SHAPE).astype(jnp.float64)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), jnp.arange(2))
    for i in range(8):
        now, then, e = alpha[i], alpha[i + 1], toy(x, jnp.full(2, t[i]))
        std = np.sqrt((1 - then) / (1 - now) * (1 - now / then))
        z = jax.vmap(lambda k, i=i: jax.random.normal(jax.random.fold_in(k, i), SHAPE[1:]))(keys)
        mean = np.sqrt(then / now) * (x - np.sqrt(1 - now) * e) + np.sqrt(1 - then - std**2) * e
        x = mean + std * z.astype(jnp.float64)
    same(run(vp, "sdeis", lambda_coef=1.0), np.asarray(x), 1e-7)  # the prior and noise are float32 draws


def dpmpp_2m(D, x, alpha, sigma, z=None):
    """DPM-Solver++(2M), algorithm 2, and its SDE version with noise z (N, ...) (lam = log alpha/sigma)."""
    lam, old = np.log(alpha / sigma), None
    for i in range(len(alpha) - 1):
        h, new = lam[i + 1] - lam[i], D(x, i)
        mixed = new if old is None else new + (new - old) * h / (lam[i] - lam[i - 1]) / 2
        if z is None:
            x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * np.expm1(-h) * mixed
        else:
            x = sigma[i + 1] / sigma[i] * np.exp(-h) * x - alpha[i + 1] * np.expm1(-2 * h) * mixed
            x = x + sigma[i + 1] * np.sqrt(-np.expm1(-2 * h)) * z[i]
        old = new
    return x


@pytest.mark.parametrize("noisy", [False, True])
def test_dpm_solver_is_the_published_one(noisy, x64):
    vp = VP()
    t = grids.log_snr(vp, 8, 2)
    alpha = np.exp(-0.5 * (0.1 * t + 19.9 * t**2 / 2))
    sigma = np.sqrt(1 - alpha**2)

    def D(x, i):
        return (x - sigma[i] * toy(x, jnp.full(2, t[i]))) / alpha[i]

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), jnp.arange(2))

    def draw(i):
        return jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, i), SHAPE[1:]))(keys)

    z = np.stack([draw(i) for i in range(8)]).astype(np.float64) if noisy else None
    x_T = vp.prior(jax.random.key(0), SHAPE).astype(jnp.float64)
    same(run(vp, "dpmpp_sde" if noisy else "dpmpp_2m"), np.asarray(dpmpp_2m(D, x_T, alpha, sigma, z)), 1e-8)


def test_churn_is_that_of_edm(x64):
    """EDM's algorithm 2 on VE, where x itself has the noise level rho = sigma; gamma > 0 in [s_min, s_max] alone."""
    ve, N, s_churn, s_min, s_max, s_noise = VE(), 4, 1.2, 0.05, 20.0, 1.01

    def t_of(sigma):
        return np.log(sigma / 0.01) / np.log(5000.0)

    ends = np.array([ve.sigma(ve.T), ve.sigma(ve.t_min)]) ** (1 / 7)
    sigma = (ends[0] + np.arange(N + 1) / N * (ends[1] - ends[0])) ** 7

    def eps(x, s):
        return np.asarray(toy(x, jnp.full(2, t_of(s))))

    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(1), jnp.arange(2))
    x = np.asarray(ve.prior(jax.random.key(0), SHAPE).astype(jnp.float64))
    for i in range(N):
        hat = sigma[i]
        if s_min <= sigma[i] <= s_max:
            hat = sigma[i] * (1 + min(s_churn / N, np.sqrt(2) - 1))
            z = jax.vmap(lambda k, i=i: jax.random.normal(jax.random.fold_in(k, 2 * i - 1), SHAPE[1:]))(keys)
            x = x + s_noise * np.sqrt(hat**2 - sigma[i] ** 2) * np.asarray(z, np.float64)
        slope = eps(x, hat)
        middle = x + (sigma[i + 1] - hat) * slope
        x = x + (sigma[i + 1] - hat) * (slope + eps(middle, sigma[i + 1])) / 2
    same(run(ve, "heun", s_churn=s_churn, s_min=s_min, s_max=s_max, s_noise=s_noise), x, 1e-7)


def test_the_multilinear_variant_is_gddim():
    """mldeis: y = Psi_1(t)^-1 u with Psi_1 the flow of the rotation part of F. Its coefficients by quadrature in y,
    mapped back to u, are gDDIM's; 1e-9 is the accuracy of Simpson's rule on 4,000 pieces."""
    sde, times, order = CLD(), grids.power(CLD(), 6, 2), 2
    rows = coefficients.multistep(sde, times, order)

    def rotation(t):
        angle = 2.0 * 4.0 * t  # sqrt(m_inv) beta_0 t
        return np.array([[np.cos(angle), 2 * np.sin(angle)], [-np.sin(angle) / 2, np.cos(angle)]])

    for i in range(order, 6):
        s, t = times[i], times[i + 1]
        r = np.linspace(s, t, 8001)
        basis = coefficients.Lagrange(times[i - np.arange(order + 1)]).values(r)
        turn = np.stack([np.linalg.inv(rotation(x)) for x in r])
        psi_y = np.linalg.inv(rotation(t)) @ sde.Psi(t, r)[:, 0, 0] @ np.linalg.inv(turn)  # transition of y
        pull = 0.5 * sde.GGt(r)[:, 0, 0] @ np.linalg.inv(sde.R(r)[:, 0, 0]).swapaxes(-1, -2)
        integrand = basis[:, :, None, None] * (psi_y @ turn @ pull)
        simpson = np.ones(8001)
        simpson[1:-1:2], simpson[2:-1:2] = 4, 2
        C_y = (integrand * simpson[:, None, None]).sum(1) * (t - s) / 8000 / 3
        np.testing.assert_allclose(rotation(t) @ C_y, rows.eps[i, :, 0, 0], atol=1e-8)


@pytest.mark.parametrize("lambda_coef", [0.3, 1.0, 1.6])
def test_contraction_and_covariance_of_the_lambda_sde(sde, lambda_coef):
    """M = (R_s^-1 Psi(s, t) R_t)^T at lambda = 1; P = R_t (I - M M^T) R_t^T solves its Lyapunov equation."""
    s, t = np.array([0.9, 0.5, 0.02]) * sde.T, np.array([0.6, 0.05, 0.01]) * sde.T
    M = stochastic.contraction(sde, t, s, lambda_coef)
    if lambda_coef == 1:
        posterior = blocks.matmul(blocks.matmul(blocks.inverse(sde.R(s)), sde.Psi(s, t)), sde.R(t))
        np.testing.assert_allclose(M, blocks.transpose(posterior), rtol=0, atol=1e-11)
    root = stochastic.noise(sde, t, s, lambda_coef)
    P = blocks.matmul(root, blocks.transpose(root))
    shape = P.shape[1:]

    def rate(r, p):
        p = p.reshape(shape)
        pull = blocks.matmul(sde.GGt(r), blocks.inverse(sde.Sigma(r)))
        drift = blocks.matmul(sde.F(r) + (1 + lambda_coef**2) / 2 * pull, p)
        return (drift + blocks.transpose(drift) - lambda_coef**2 * sde.GGt(r)).ravel()

    for i in range(3):
        exact = solve_ivp(rate, (s[i], t[i]), np.zeros(np.prod(shape)), "DOP853", rtol=1e-11, atol=1e-20).y[:, -1]
        np.testing.assert_allclose(P[i].ravel(), exact, rtol=0, atol=1e-8 * np.abs(exact).max())


def test_predictors_of_score_sde(golden):
    """Mean and noise of one reverse step: reverse diffusion for VP (discrete betas) and VE, Euler for sub-VP."""
    g = golden("jax/sde_quantities.npz")
    later = g["t"] > 0  # the reference lets the noise of VE end in 0 there, and sub-VP has no score
    t, x, score = g["t"][later], g["x"][later], g["toy_score"][later]
    N = 1000
    index = (t * (N - 1)).astype(int)
    vp = VP(schedule="discrete", betas=g["vp_discrete_betas"])
    cases = {
        "vp": (vp, (index + 1) / N, index / N),
        "ve": (VE(), index / (N - 1), (index - 1) / (N - 1)),
        "subvp": (SubVP(), t, t - 1 / N),
    }
    for name, (sde, start, end) in cases.items():
        for flow in (0, 1):
            step = euler_maruyama if name == "subvp" else reverse_diffusion
            argument = 1.0 - flow if name == "subvp" else bool(flow)
            rows = [step(sde, np.array(pair), argument) for pair in zip(start, end, strict=True)]
            psi = np.stack([r.psi[0, 0, 0] for r in rows])[:, None]
            weight = np.stack([r.eps[0, 0, 0, 0] for r in rows])[:, None]
            mean = psi * x + weight * (-sde.R(start)[..., 0] * score)
            np.testing.assert_allclose(x - mean, g[f"{name}_rev_disc_f_pf{flow}"][later], rtol=1e-7, atol=1e-9)
            noise = [0.0 if r.noise is None else r.noise[0, 0, 0, 0, 0] for r in rows]
            np.testing.assert_allclose(noise, g[f"{name}_rev_disc_G_pf{flow}"][later], rtol=1e-9)


def test_the_langevin_corrector_keeps_the_marginal(x64):
    """The corrector alone, 200 steps at one time from the exact marginal of Gaussian data, snr 0.05.

    Steps h ~ |z|^2 / |score|^2 add 2 h |z|^2 to |u|^2 and take 2 d snr^2 P from it, which balances at (d + 2) / (d - 2)
    times the variance P in d dimensions; what the finite step adds is of the order of snr^2. 5 standard errors.
    """
    vp, shape, variance, snr, d = VP(), (100, 8, 8, 1), 0.3, 0.05, 64

    def P(t):
        return vp.Psi(t, t * 0) ** 2 * variance + vp.Sigma(t)

    def eps_fn(u, t):
        return blocks.apply(vp.R(t) / P(t), u)

    keys = {"method": "pc", "predictor": "none", "snr": snr, "nfe": 200, "noise_removal": False}
    sampler = get_sampler(ConfigDict({"sampling": keys}), vp)
    sampler.correction.update({k: np.repeat(v[99:100], 200, 0) for k, v in sampler.correction.items()})
    std = np.sqrt(P(sampler.correction["t"][0])).item()
    start = std * jax.random.normal(jax.random.key(4), shape, jnp.float64)
    u = jax.jit(lambda u: sampler(eps_fn, jax.random.key(5), u).u)(start)
    assert abs(float((u**2).mean()) / std**2 - (d + 2) / (d - 2)) <= 5 * np.sqrt(2 / u.size) + 2 * snr**2


def test_the_hybrid_grid_is_uniform_and_then_power():
    t = grids.hybrid(CLD(), 20, 2, 0.3, 0.25)
    assert len(t) == 21 and t[0] == 1 and (np.diff(t) < 0).all()
    np.testing.assert_allclose(np.diff(t[:6]), -0.7 / 5, rtol=1e-12)
    steps = np.diff(np.sqrt(t[5:]))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    np.testing.assert_allclose([t[5], t[-1]], [0.3, 1e-3], rtol=1e-12)
