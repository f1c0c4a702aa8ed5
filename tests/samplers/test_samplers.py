"""The battery that every entry of SAMPLERS goes through, on data whose eps is known exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.integrate import solve_ivp

import samplers
from samplers import SAMPLERS, coefficients, get_sampler
from samplers.exponential import Recursion, integrate
from samplers.predictor_corrector import ancestral
from sde_lib import SDES, VE, VP, blocks
from tests.conftest import FAST_RUNNING

SHAPE = (3, 2, 3, 1)
VARIANCE = 0.3
PROCESSES = {name: SDES[name](image_shape=SHAPE[1:3]) for name in SDES}
ON_EPS = [m for m in SAMPLERS if m != "fixed_point"]  # which has no use for eps, see test_fixed_point
PAIRS = [(m, p) for m in ON_EPS for p in SDES if SAMPLERS[m].processes.accept(PROCESSES[p])]
ONE_EACH = [(m, next(p for p in ("vp", "cld", *SDES) if (m, p) in PAIRS)) for m in ON_EPS]
DRAWING = [m for m in ON_EPS if SAMPLERS[m].stochastic and m not in ("ddpm", "ddim")]  # for these see test_ancestral
# What makes a sampler draw noise and take steps that are small enough, where {"nfe": 1200} does not.
STOCHASTIC = {
    "sdeis": {"lambda_coef": 0.7, "nfe": 200, "deis_order": 1},
    "dpmpp_sde": {"nfe": 100},
    "heun": {"s_churn": 20.0, "nfe": 640},
    "em": {"lambda_coef": 0.8, "nfe": 1200, "ts_order": 3},
    "sscs": {"nfe": 600, "ts_order": 3},
    "pc": {"nfe": 1600, "corrector": "ald", "snr": 0.05, "grid": "power", "ts_order": 3},
}


def make(method, sde, **keys):
    """The sampler `method`, as main builds it."""
    return get_sampler(ConfigDict({"sampling": {"method": method, **keys}}), sde)


@pytest.fixture(params=ONE_EACH, ids="-".join)
def one_each(request):
    method, name = request.param
    return method, PROCESSES[name]


def covariance(sde, t):
    """Covariance block of Gaussian data at time t."""
    Psi, C = sde.Psi(t, 0.0), np.diag([VARIANCE] + [0.0] * (sde.k - 1)).astype(sde.R(t).dtype)
    return blocks.matmul(blocks.matmul(Psi, C), blocks.transpose(Psi)) + sde.Sigma(t)


def gaussian(sde, mean=0.4):
    """eps of data N(mean, VARIANCE I): R^T P^-1 (u - Psi mean)."""
    u_0 = sde.lift(jnp.full((1, *SHAPE[1:]), mean))

    def eps_fn(u, t):
        pull = blocks.matmul(blocks.transpose(sde.R(t)), blocks.inverse(covariance(sde, t)))
        return blocks.apply(pull, u - blocks.apply(sde.Psi(t, t * 0), jnp.broadcast_to(u_0, u.shape)))

    return eps_fn


def test_nfe_counts_the_calls_of_eps_fn_within_the_budget(one_each, budget=8):
    """One less than the budget where a step takes two evaluations: 3 steps and the denoising step."""
    method, sde = one_each
    calls = []

    def eps_fn(u, t):
        jax.debug.callback(lambda t: calls.append(float(t)), t[0])
        return 0.1 * u

    keys = {"rtol": 1e-2, "atol": 1e-2} if method == "ode" else {"nfe": budget}
    sampler = make(method, sde, **keys)
    samples = jax.jit(lambda u: sampler(eps_fn, jax.random.key(0), u))(sde.prior(jax.random.key(1), SHAPE))
    jax.block_until_ready(samples.u)
    jax.effects_barrier()
    if method == "ode":  # called for each image by itself, but for the denoising step
        assert (samples.nfe - 1) * SHAPE[0] + 1 == len(calls)
    else:
        assert samples.nfe == len(calls)
    if method != "ode":
        assert budget - 1 <= samples.nfe <= budget
    assert min(calls) >= sde.t_min * (1 - 1e-5) and max(calls) <= sde.T * (1 + 1e-6)


def test_an_image_depends_on_its_key_alone(one_each):
    """Three images at once, and the last one alone from its own key: the same to float32 rounding."""
    method, sde = one_each
    sampler = make(method, sde, **{"nfe": 12, **({"rtol": 1e-3} if method == "ode" else {})})
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(5), jnp.arange(3))
    u_T = sde.prior(jax.random.key(6), SHAPE)
    run = jax.jit(lambda key, u: sampler(gaussian(sde), key, u).u)
    together = run(keys, u_T)
    np.testing.assert_allclose(run(keys[2:], u_T[2:])[0], together[2], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(run(jax.random.key(5), u_T), together)


def test_trajectory_starts_at_u_T_and_predicts_the_data(one_each, x64):
    """Of data on one point x_0 every prediction is x_0, whatever the state."""
    method, sde = one_each
    x_0 = jax.random.normal(jax.random.key(2), SHAPE, jnp.float64)
    u_0 = sde.lift(x_0)

    def eps_fn(u, t):
        return blocks.apply(blocks.inverse(sde.R(t)), u - sde.mean(u_0, t))

    u_T = sde.prior(jax.random.key(3), SHAPE).astype(jnp.float64)
    keys = {"clip_denoised": False} if method in ("ddpm", "ddim") else {}  # the data are not in [-1, 1]
    sampler = make(method, sde, nfe=8, trajectory=True, **keys)
    path = jax.jit(lambda u: sampler(eps_fn, jax.random.key(4), u).trajectory)(u_T)
    assert len(path["t"]) == len(path["u"]) == len(path["x_0"])
    if method != "pc":  # which corrects before it predicts
        np.testing.assert_allclose(path["u"][0], u_T, rtol=1e-12)
    np.testing.assert_allclose(path["x_0"], jnp.broadcast_to(x_0, path["x_0"].shape), atol=1e-7)


@functools.cache
def gaussian_flow(name, times):
    """A(t) with A(T) = I solving dA/dt = (F + 1/2 G G^T P^-1) A, P the covariance of Gaussian data at t, at `times`."""
    sde = PROCESSES[name]
    k = sde.k

    def rate(t, a):
        M = sde.F(t) + 0.5 * blocks.matmul(sde.GGt(t), blocks.inverse(covariance(sde, t)))
        return blocks.matmul(M, a.reshape(M.shape[:-2] + (k, k))).ravel()

    start = np.broadcast_to(blocks.identity(k), np.asarray(sde.Sigma(0.5)).shape)
    flow = solve_ivp(rate, (times[0], times[-1]), start.ravel(), "DOP853", times, rtol=1e-13, atol=1e-13)
    return flow.y.T.reshape((len(times), *start.shape))


MULTISTEP = [m for m, p in ONE_EACH if issubclass(SAMPLERS[m], Recursion) and not SAMPLERS[m](PROCESSES[p]).stochastic]
SLOPES = [(m, p, 1) for m, p in PAIRS if m in MULTISTEP and p in ("cld", "blur") and m not in ("deis", "mldeis")]
SLOPES += [(m, p, 1) for m, p in ONE_EACH if m in MULTISTEP and not {(m, "cld"), (m, "blur")} & {*PAIRS}]
SLOPES += [("gddim", "cld", order) for order in (0, 2, 3)] + [("gddim", p, 2) for p in ("vp", "subvp", "ve", "blur")]
SLOPES += [("rho_rk", "vp", 3), ("dpmpp_3m", "vp", 2)]


@pytest.mark.parametrize(("method", "name", "deis_order"), SLOPES)
def test_error_slope_is_the_order(method, name, deis_order, x64):
    """On Gaussian data with the history seeded by the exact flow, between two fine grids, within 0.15."""
    sde = PROCESSES[name]
    eps_fn = gaussian(sde, mean=0.0)
    sampler = make(method, sde, nfe=20, noise_removal=False, deis_order=deis_order, rk_method="3kutta")
    u_T = sde.prior(jax.random.key(2), SHAPE).astype(jnp.float64)
    errors, counts = [], [192, 288]
    run = jax.jit(lambda u, rows, history: integrate(eps_fn, u, rows, history)[0])
    for n in counts:
        times = np.linspace(sde.T**0.5, 0.1**0.5, n + 1) ** 2
        if method == "ipndm":
            times = np.linspace(sde.T, 0.1, n + 1)
        flow = jnp.asarray(gaussian_flow(name, tuple(times[[0, 1, 2, 3, -1]])))
        states = [blocks.apply(A, u_T) for A in flow]
        rows = sampler.table(times[3:], past=times[2::-1])
        seeds = [seed(sde, rows, eps_fn, states[i], times[i]) for i in (2, 1, 0)]
        history = jnp.repeat(jnp.stack(seeds), sampler.nfe_per_step, 0)[: rows.eps.shape[1] - 1]
        u = run(states[3], padded(rows, (counts[-1] - 3) * sampler.nfe_per_step), history)
        errors.append(float(jnp.abs(u - states[-1]).max()))
    slope = np.log(errors[0] / errors[1]) / np.log(counts[1] / counts[0])
    assert abs(slope - sampler.order) <= 0.15, (slope, errors)


def padded(rows, n):
    """`rows` followed by rows that do nothing, n in all: one compilation serves both grids."""
    idle = jax.tree.map(lambda a: np.repeat(a[-1:], n - len(rows.times), 0), rows)
    return coefficients.join([rows, idle._replace(psi=idle.psi * 0 + np.eye(rows.psi.shape[-1]), eps=idle.eps * 0)])


def seed(sde, rows, eps_fn, u, t):
    """What the rows look back at, at state u and time t."""
    e = eps_fn(u, jnp.full(len(u), t))
    if rows.from_eps is None:
        return e
    return blocks.apply(jnp.asarray(sde.Psi(0.0, t)), u - blocks.apply(jnp.asarray(sde.R(t)), e))


LAWS = [(m, p) for m, p in PAIRS if m in DRAWING and p in (("vp", "ve") if m == "pc" else ("cld", "blur"))]


@pytest.mark.parametrize(("method", "name"), LAWS)
def test_stochastic_samplers_keep_the_law_of_gaussian_data(method, name):
    """Whitened by the exact mean and covariance at t_min: 0 and I within 5 standard errors and 2 % of step error."""
    sde, B = PROCESSES[name], 800
    sampler = make(method, sde, noise_removal=False, **STOCHASTIC.get(method, {"nfe": 1200}))
    u_T = sde.prior(jax.random.key(7), (B, *SHAPE[1:]))
    run = jax.jit(lambda key, u: sampler(gaussian(sde), key, u).u, compiler_options=FAST_RUNNING)
    u = run(jax.random.key(8), u_T)
    t = sde.t_min
    mean = sde.mean(sde.lift(jnp.full((1, *SHAPE[1:]), 0.4)), jnp.full(1, t))
    white = blocks.apply(blocks.inverse(blocks.cholesky(covariance(sde, t))), np.asarray(u - mean, np.float64))
    white = white.reshape(-1, sde.k)
    error = 5 / np.sqrt(len(white))
    np.testing.assert_allclose(white.mean(0), 0, atol=error + 0.02)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(sde.k), atol=np.sqrt(2) * error + 0.02)


@pytest.mark.parametrize(
    ("method", "process", "keys", "message"),
    [
        ("gdim", "vp", {}, "'gdim' is unknown.*choose from gddim"),
        ("rho_rk", "cld", {}, "one noise level for all pixels, which CLD does not have; use one of gddim"),
        ("pc", "cld", {}, "k = 1, which CLD does not have"),
        ("sscs", "ve", {}, "prior invariant under the forward process, which VE does not have"),
        ("rho_rk", "vp", {"rk_method": "5rk"}, "'5rk' is unknown.*choose from 1euler"),
        ("pc", "vp", {"predictor": "euler"}, "sampling.predictor='euler' is unknown.*choose from euler_maruyama"),
        ("pc", "vp", {"predictor": "none", "corrector": "none"}, "choose at least one"),
        ("pc", "vp", {"predictor": "ancestral", "probability_flow": True}, "needs sampling.predictor euler_maruyama"),
        ("hybdeis", "cld", {"img_t_ratio": 1.5}, "must lie between 0 and 1"),
        ("sdeis", "cld", {"lambda_coef": -1.0}, "must not be negative"),
        ("heun", "vp", {"nfe": 2}, "0 sampling steps: raise config.sampling.nfe"),
        ("gddim", "vp", {"grid": "cubic"}, "'cubic' is unknown"),
        ("gddim", "vp", {"ts_order": 0.0}, "ts_order=0.0 must be positive"),
    ],
)
def test_bad_requests_say_what_is_wrong(method, process, keys, message):
    with pytest.raises(ValueError, match=message):
        make(method, PROCESSES[process], **keys)


GRIDDED = [(m, p) for m, p in ONE_EACH if {"grid", "ts_order"} <= set(samplers.config_keys(m))]


@pytest.mark.parametrize(("grid", "exponent"), [("rho", 7), ("power", 2)])
@pytest.mark.parametrize(("method", "name"), GRIDDED)
def test_the_default_exponent_is_that_of_the_grid(method, name, grid, exponent):
    """7 is EDM's; an exponent that is given counts."""
    sde = PROCESSES[name]
    given = [make(method, sde, nfe=9, grid=grid, ts_order=p).rows.times for p in (None, exponent, exponent + 1)]
    np.testing.assert_array_equal(given[0], given[1])
    assert np.abs(given[0] - given[2]).max() > 1e-3


def test_the_table_names_every_method_and_its_keys():
    lines = samplers.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(SAMPLERS)
    for line, method in zip(lines[1:], SAMPLERS, strict=True):
        assert line.endswith(" ".join(samplers.config_keys(method))) and SAMPLERS[method].reference in line


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_ancestral_steps_are_those_of_score_sde(name):
    """Of DDPM (mean (x + beta score) / sqrt(1 - beta), noise sqrt(beta)) and of SMLD, on the discrete chains."""
    N, i = 1000, np.array([999, 500, 3])
    sde = VP(schedule="discrete") if name == "vp" else VE()
    t, s = (sde.chain.time(j) if sde.chain else j / (N - 1) for j in (i, i - 1))
    if name == "vp":
        beta = sde.chain.betas[i]
        mean, gain, noise = 1 / np.sqrt(1 - beta), beta / np.sqrt(1 - beta), np.sqrt(beta)
    else:
        now, then = sde.sigma(t), sde.sigma(s)
        mean, gain, noise = np.ones(3), now**2 - then**2, np.sqrt(then**2 * (now**2 - then**2) / now**2)
    for k in range(3):
        rows = ancestral(sde, np.array([t[k], s[k]]), False)
        found = [rows.psi.item(), -rows.eps.item() * np.sqrt(sde.Sigma(t[k]).item()), rows.noise.item()]
        np.testing.assert_allclose(found, [mean[k], gain[k], noise[k]], rtol=1e-6)


@pytest.mark.parametrize("method, name", [*ONE_EACH, ("gddim", "cld"), ("gddim", "blur")], ids="-".join)
def test_from_a_state_on_the_way_to_the_data(method, name):
    """A process that ends `until` a level is sampled from states there: back to data on one point.

    What is left is the noise at t_min, which the last evaluation takes away but for rounding of R(t)^-1.
    """
    sde = PROCESSES[name].until(0.4 * PROCESSES[name].T)
    u_0 = sde.lift(jnp.broadcast_to(jnp.linspace(-0.5, 0.5, 6).reshape(1, 2, 3, 1), SHAPE))

    def eps_fn(u, t):
        return blocks.apply(blocks.inverse(sde.R(t)), u - sde.mean(u_0, t))

    u, _ = sde.perturb(jax.random.key(0), u_0, jnp.full(len(u_0), sde.T))
    sampler = make(method, sde, **({} if method == "ode" else {"nfe": 160}))
    samples = jax.jit(lambda u: sampler(eps_fn, jax.random.key(1), u))(u)
    np.testing.assert_allclose(sde.project(samples.u), sde.project(u_0), atol=0.02)


def test_a_process_ends_within_its_times(sde=PROCESSES["vp"]):
    for t in (0.0, sde.t_min, 1.01):
        with pytest.raises(ValueError, match="a process can end between"):
            sde.until(t)
