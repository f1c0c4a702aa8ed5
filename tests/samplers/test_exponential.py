"""The exponential integrator on data whose eps is known exactly, and the samplers of gDDIM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from samplers import coefficients, get_sampler, grids
from samplers.exponential import integrate
from samplers.gddim import GDDIM, LDEIS
from sde_lib import CLD, SDES, VP, Blur, blocks
from sde_lib.exact import gaussian_eps

SHAPE = (3, 4, 6, 2)
VARIANCE = 0.3


@pytest.fixture(params=SDES)
def sde(request):
    return SDES[request.param](image_shape=SHAPE[1:3])


def point_mass_eps(sde, x_0):
    """eps of data on the single image x_0: R^-1 (u - Psi lift(x_0)), with the lifted variance inside Sigma."""
    u_0 = sde.lift(x_0)
    return lambda u, t: blocks.apply(blocks.inverse(sde.R(t)), u - sde.mean(u_0, t))


@pytest.mark.parametrize("order", [0, 3])
def test_a_point_mass_is_exact_in_one_step(sde, order, x64):
    """u = Psi u_0 + R eps with the eps of the start, from T to t_min in one step, to a hundred roundings of what the
    step multiplies (Psi(t_min, T) is 3e4 for CLD, 2e5 for HOLD), and no worse than 1e-10 of the state for the others.
    """
    x_0 = jax.random.normal(jax.random.key(0), SHAPE, jnp.float64)
    u_T = sde.prior(jax.random.key(1), SHAPE).astype(jnp.float64)
    eps_fn = point_mass_eps(sde, x_0)
    eps = eps_fn(u_T, jnp.full(SHAPE[0], sde.T))
    u, _ = integrate(eps_fn, u_T, coefficients.multistep(sde, [sde.T, sde.t_min], order))
    t = jnp.full(SHAPE[0], sde.t_min)
    expected = sde.mean(sde.lift(x_0), t) + blocks.apply(sde.R(t), eps)
    multiplied = np.abs(sde.Psi(sde.t_min, sde.T)).max()
    assert jnp.abs(u - expected).max() <= max(1e-10, 100 * 2e-16 * multiplied) * jnp.abs(u_T).max()


def test_L_and_R_converge_to_the_same_flow(x64):
    """Their distance falls as h^2: without a seeded history the first step, of order 0, sets the slope."""
    sde = CLD()
    eps_fn = gaussian_eps(sde, jnp.zeros(SHAPE[1:]), VARIANCE)
    u_T = sde.prior(jax.random.key(3), SHAPE).astype(jnp.float64)

    def distance(nfe):
        R, L = (c(sde, nfe=nfe, noise_removal=False)(eps_fn, None, u_T).u for c in (GDDIM, LDEIS))
        return float(jnp.abs(R - L).max())

    assert abs(np.log2(distance(200) / distance(400)) - 2) <= 0.15


def test_order_0_on_vp_is_ddim(x64):
    """x_s = a_s (x_t - s_t e) / a_t + s_s e with a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar) (arXiv:2010.02502)."""
    sde = VP()

    def eps_fn(u, t):
        return jnp.sin(1.3 * u + t[:, None, None, None])

    u_T = sde.prior(jax.random.key(4), SHAPE).astype(jnp.float64)
    t = grids.power(sde, 10, 2)
    a = np.exp(-0.5 * (0.1 * t + 19.9 * t**2 / 2))
    s = np.sqrt(1 - a**2)
    x = u_T
    for i in range(10):
        e = eps_fn(x, jnp.full(SHAPE[0], t[i]))
        x = a[i + 1] * (x - s[i] * e) / a[i] + s[i + 1] * e
    sampler = GDDIM(sde, nfe=10, deis_order=0, noise_removal=False)
    np.testing.assert_allclose(sampler(eps_fn, None, u_T).u, x, rtol=1e-9)


def components(u):
    return jnp.concatenate([jnp.asarray(u[..., 0]), jnp.asarray(u[..., 1])], axis=-1)


def gddim_toy(C):
    """The toy network of the golden cases: M(t) u + 0.2 sin(1.3 u + 0.7 t + 0.5 k)."""

    def eps_fn(u, t):
        z = jnp.arccos(2 * jnp.sqrt(t) - 1)
        M = (jnp.cos(z[:, None] * jnp.arange(len(C)))[:, :, None, None] * C).sum(1)[:, None, None]
        shift = jnp.repeat(jnp.array([0.0, 0.5]), u.shape[-1] // 2)
        return blocks.apply(M, u) + 0.2 * jnp.sin(1.3 * u + 0.7 * t[:, None, None, None] + shift)

    return eps_fn


@pytest.mark.parametrize("noise_removal", [False, True])
@pytest.mark.parametrize("order", range(4))
def test_gddim_sampler(golden, order, noise_removal, x64):
    g = golden("jax/cld_sampler_deis.npz")
    sde, u_T = CLD(), components(g["u_T"])
    eps_fn = gddim_toy(g["toy_C"])
    np.testing.assert_allclose(eps_fn(u_T, jnp.full(4, 0.37)), components(g["toy_check_eps"]), atol=1e-12)
    for nfe in (10, 50):
        case = f"o{order}_nfe{nfe}_nr{int(noise_removal)}"
        config = ConfigDict({"sampling": {"method": "gddim", "nfe": nfe, "deis_order": order, "ts_order": 2,
                                          "noise_removal": noise_removal}})  # fmt: skip
        samples = get_sampler(config, sde)(eps_fn, jax.random.key(0), u_T)
        exact = np.concatenate([g[f"x_exact_{case}"], g[f"v_exact_{case}"]], axis=-1)
        reference = np.concatenate([g[f"x_{case}"], g[f"v_{case}"]], axis=-1)
        assert samples.nfe == nfe
        assert np.abs(samples.u - exact).max() <= max(1e-6, g[f"sens32_{case}"] / 10)
        assert np.abs(samples.u - reference).max() <= 3 * np.abs(reference - exact).max()


def test_gddim_sampler_in_float32(golden):
    g = golden("jax/cld_sampler_deis.npz")
    u_T = components(g["u_T"].astype(np.float32))
    sampler = GDDIM(CLD(), nfe=20, deis_order=2, noise_removal=True)
    u = sampler(gddim_toy(g["toy_C"].astype(np.float32)), None, u_T).u
    exact = np.concatenate([g["x_exact_o2_nfe20_nr1"], g["v_exact_o2_nfe20_nr1"]], axis=-1)
    assert u.dtype == jnp.float32
    assert np.abs(u - exact).max() <= 10 * g["sens32_o2_nfe20_nr1"]


def test_the_recursion_with_injected_coefficients(golden, x64):
    """The badly conditioned toy sin(1.3 u + 0.7 t + 0.5 k): only the recursion and the denoising step are ours."""
    g = golden("jax/cld_sampler_deis_sin.npz")
    sde, u_T = CLD(), components(g["u_T"])
    shift = jnp.repeat(jnp.array([0.0, 0.5]), u_T.shape[-1] // 2)

    def eps_fn(u, t):
        return jnp.sin(1.3 * u + 0.7 * t[:, None, None, None] + shift)

    for order in range(4):
        case = f"o{order}_nfe10_nr1"
        times, coef = g["rev_ts_nfe10_nr1"], g[f"coef_{case}"][:, :, None, None]
        rows = coefficients.Coefficients(times[:-1], coef[:, 0], coef[:, 1:-1])
        rows = coefficients.append(rows, coefficients.denoising(sde, times[-1]))
        u, _ = integrate(eps_fn, u_T, rows)
        expected = np.concatenate([g[f"x_{case}"], g[f"v_{case}"]], axis=-1)
        assert np.abs(u - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("toy", ["", "_sin"])
def test_blur_sampler(golden, toy, x64):
    """gDDIM's blur sampler of order 0, at the recommended 1e-8 of the largest pixel."""
    g = golden(f"jax/blur_sampler{toy}.npz")
    sde = Blur(image_shape=(32, 32))

    def network(x, t):
        t = t[:, None, None, None]
        if toy:
            return jnp.sin(1.3 * x + 0.7 * t)
        w = jnp.sin(jnp.pi * t / 2)
        return w / (0.25 + 0.75 * w**2) * x + 0.05 * jnp.sin(1.3 * x + 0.7 * t)

    check = network(jnp.asarray(g["y_T"][:1]), jnp.full(1, 0.37))
    np.testing.assert_allclose(check, g["toy_check_eps"], atol=1e-12)

    def eps_fn(u, t):
        return sde.from_image(network(sde.to_image(u), t))

    for nfe in (10, 20)[: 1 if toy else 2]:
        np.testing.assert_allclose(grids.power(sde, nfe, 2), g[f"rev_ts_nfe{nfe}_p2"], rtol=1e-12)
        u = GDDIM(sde, nfe=nfe, deis_order=0, noise_removal=False)(eps_fn, None, jnp.asarray(g["y_T"])).u
        expected = g[f"x_nfe{nfe}_p2"]
        assert np.abs(sde.to_image(u) - expected).max() <= 1e-8 * np.abs(expected).max()
