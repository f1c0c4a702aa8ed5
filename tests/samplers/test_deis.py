"""The DEIS family against jax_deis, whose cosine schedule, unlike ours, is not divided by alpha(0)."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from samplers import coefficients, grids
from samplers.deis import IPNDM, RhoAB, RhoRK, runge_kutta
from samplers.exponential import integrate
from samplers.gddim import GDDIM
from sde_lib import VP, LinearSDE, blocks


class UndividedCosine(LinearSDE):
    """Psi(t, s) = cos a(t) / cos a(s), Sigma = sin^2 a(t), a(t) = pi/2 (t + 0.008) / 1.008."""

    T, t_min, rate = 0.98, 1e-3, np.pi / 2 / 1.008

    def a(self, t):
        _, t = blocks.namespace(t)
        return self.rate * (t + 0.008)

    def F(self, t):
        return blocks.scalar(-self.rate * np.tan(self.a(t)))

    def GGt(self, t):
        return -2 * self.F(t)

    def Psi(self, t, s):
        return blocks.scalar(np.cos(self.a(t)) / np.cos(self.a(s)))

    def Sigma(self, t):
        return blocks.scalar(np.sin(self.a(t)) ** 2)


PROCESSES = {"linear": VP(beta_min=0.01, beta_max=20.0), "cos": UndividedCosine()}
PHASES = {"t": "power", "log": "log_snr", "rho": "rho"}


def network(case):
    def eps_fn(x, t):
        t = t.reshape(-1, *[1] * (x.ndim - 1))
        w = jnp.sqrt(-jnp.expm1(-10 * t**2)) if case == "linear" else jnp.sin(jnp.pi * t / 2)
        return w / (0.25 + 0.75 * w**2) * x + 0.1 * jnp.sin(1.3 * x + 0.7 * t)

    return eps_fn


def sampler_of(run, sde):
    phase, p = PHASES[run.get("phase", "t")], run.get("p", 1)
    if run["method"] == "ipndm":
        return IPNDM(sde, nfe=run["n"], noise_removal=False)
    if run["method"] == "rho_rk":
        stages = int(run["rk"][0])
        return RhoRK(sde, nfe=run["n"] * stages, rk_method=run["rk"], ts_order=p, grid=phase, noise_removal=False)
    family = GDDIM if run["method"] == "t_ab" else RhoAB
    return family(sde, nfe=run["n"], deis_order=run["order"], ts_order=p, grid=phase, noise_removal=False)


def tag_of(run):
    name = run["method"] + str(run.get("order", run.get("rk", "")))
    phase = "" if run["method"] == "ipndm" else f"_{run['phase']}{run['p']}"
    return f"{name}_n{run['n']}{phase}"


@pytest.mark.parametrize("case", PROCESSES)
def test_samplers_of_jax_deis(golden, case, x64):
    g, sde, eps_fn = golden(f"jax/deis_vp_{case}.npz"), PROCESSES[case], network(case)
    x_T = jnp.asarray(g["x_T"])
    np.testing.assert_allclose(eps_fn(x_T, jnp.full(len(x_T), 0.37)), g["toy_check_eps"], atol=1e-12)
    for run in json.loads(str(g["config_json"]))["runs"]:
        tag, sampler = tag_of(run), sampler_of(run, sde)
        times = np.append(sampler.rows.times[:: sampler.nfe_per_step], sde.t_min)
        np.testing.assert_allclose(times, g[f"rev_ts_{tag}"], rtol=0, atol=1e-10)
        x, _ = integrate(eps_fn, x_T, sampler.rows)
        exact, reference = g[f"x_exact_{tag}"], g[f"x_{tag}"]
        assert np.abs(x - exact).max() <= max(1e-7, g[f"sens32_{tag}"] / 10), tag
        assert np.abs(x - reference).max() <= max(1e-8, 3 * np.abs(reference - exact).max()), tag


@pytest.mark.parametrize("case", PROCESSES)
def test_coefficients_of_jax_deis(golden, case):
    """1e-9 of the largest entry of the coefficients stored with accurate integrals."""
    g, sde = golden(f"jax/deis_vp_{case}.npz"), PROCESSES[case]
    for name in [n.removeprefix("coef_exact_") for n in g if n.startswith("coef_exact_")]:
        variable, order = name.split("_ab")
        rows = coefficients.multistep(sde, g[f"rev_ts_{name}"], int(order[0]), variable=variable)
        ours, exact = np.concatenate([rows.psi[:, None], rows.eps], 1)[..., 0, 0, 0, 0], g[f"coef_exact_{name}"]
        if variable == "rho":  # theirs are for v = x / alpha
            alpha = sde.Psi(np.append(rows.times, sde.t_min), 0.0)[:, 0, 0, 0, 0]
            ours[:, 0] *= alpha[:-1] / alpha[1:]
            ours[:, 1:] /= alpha[1:, None]
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


def test_a_tableau_with_falling_fractions_is_of_its_order(x64):
    """Third order with the stages at 0, 1 and 1/2 (strong-stability-preserving, Shu and Osher), as with 3kutta."""
    sde, V = VP(), 0.3
    ssp = ([0.0, 1.0, 0.5], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.0]], [1 / 6, 1 / 6, 4 / 6])

    def P(t):
        return sde.Psi(t, t * 0) ** 2 * V + sde.Sigma(t)

    def eps_fn(u, t):
        return blocks.apply(sde.R(t) / P(t), u)

    u, errors = jnp.ones((1, 1, 1, 1), jnp.float64), []
    exact = np.sqrt(P(0.1) / P(1.0)).item()
    for n in (40, 80):
        times = np.linspace(1.0, 0.1, n + 1)
        end, _ = integrate(eps_fn, u, runge_kutta(sde, times[:-1], times[1:], ssp))
        errors.append(abs(end.item() - exact))
    assert abs(np.log2(errors[0] / errors[1]) - 3) <= 0.15, errors


def test_rho_of_jax_deis(golden):
    for case, sde in PROCESSES.items():
        g = golden(f"jax/deis_vp_{case}.npz")
        rho = np.exp(grids.log_rho(sde, g["t"])) / sde.Psi(0.0, 0.0).squeeze()
        scale = 1.0 if case == "linear" else np.cos(sde.a(0.0))
        np.testing.assert_allclose(rho, g["rho"] * scale, rtol=1e-9)
