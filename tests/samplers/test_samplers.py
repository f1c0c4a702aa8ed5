"""The battery that every entry of SAMPLERS goes through, on data whose eps is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.integrate import solve_ivp

import samplers
from samplers import SAMPLERS, get_sampler
from samplers.exponential import Recursion, integrate
from sde_lib import SDES, blocks
from sde_lib.exact import data_covariance, gaussian_eps

SHAPE = (3, 2, 3, 1)
VARIANCE = 0.3
PROCESSES = {name: SDES[name](image_shape=SHAPE[1:3]) for name in SDES}
PAIRS = [(m, p) for m in SAMPLERS for p in SDES if SAMPLERS[m].processes.accept(PROCESSES[p])]
ONE_EACH = [(m, next(p for p in ("cld", "vp") if (m, p) in PAIRS)) for m in SAMPLERS]
# What makes each stochastic sampler draw noise, take small enough steps, and end without the denoising step.
STOCHASTIC = {
    "sdeis": {"lambda_coef": 0.7, "nfe": 100},
    "dpmpp_sde": {"nfe": 100},
    "heun": {"s_churn": 30.0, "nfe": 160},
    "em": {"lambda_coef": 0.8, "nfe": 1200, "ts_order": 3},
    "sscs": {"nfe": 600, "ts_order": 3},
    "pc": {"nfe": 1600, "snr": 0.05, "grid": "power", "ts_order": 3},
}


def make(method, sde, **keys):
    """The sampler `method`, as main builds it."""
    return get_sampler(ConfigDict({"sampling": {"method": method, **keys}}), sde)


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request):
    method, name = request.param
    return method, PROCESSES[name]


@pytest.fixture(params=ONE_EACH, ids="-".join)
def one_each(request):
    method, name = request.param
    return method, PROCESSES[name]


def gaussian(sde):
    return gaussian_eps(sde, jnp.full(SHAPE[1:], 0.4), VARIANCE)


def covariance(sde, t):
    """Covariance block of Gaussian data at time t."""
    Psi = sde.Psi(t, 0.0)
    return blocks.matmul(blocks.matmul(Psi, data_covariance(sde, VARIANCE)), blocks.transpose(Psi)) + sde.Sigma(t)


@pytest.mark.parametrize("budget", [7, 8])
def test_nfe_counts_the_calls_of_eps_fn_within_the_budget(one_each, budget):
    method, sde = one_each
    calls = []

    def eps_fn(u, t):
        jax.debug.callback(lambda t: calls.append(float(t)), t[0])
        return 0.1 * u

    keys = {"rtol": 1e-2, "atol": 1e-2} if method == "ode" else {"nfe": budget}
    samples = make(method, sde, **keys)(eps_fn, jax.random.key(0), sde.prior(jax.random.key(1), SHAPE))
    jax.block_until_ready(samples.u)
    jax.effects_barrier()
    per_call = SHAPE[0] if method == "ode" else 1  # the batch is mapped over, and the callback with it
    assert samples.nfe * per_call == len(calls)
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
    eps_fn = lambda u, t: blocks.apply(blocks.inverse(sde.R(t)), u - sde.mean(u_0, t))  # noqa: E731
    u_T = sde.prior(jax.random.key(3), SHAPE).astype(jnp.float64)
    path = make(method, sde, nfe=8, trajectory=True)(eps_fn, jax.random.key(4), u_T).trajectory
    assert len(path["t"]) == len(path["u"]) == len(path["x_0"])
    if method != "pc":  # which corrects before it predicts
        np.testing.assert_allclose(path["u"][0], u_T, rtol=1e-12)
    np.testing.assert_allclose(path["x_0"], jnp.broadcast_to(x_0, path["x_0"].shape), atol=1e-7)


def gaussian_flow(sde, times):
    """A(t) with A(T) = I solving dA/dt = (F + 1/2 G G^T P^-1) A, P the covariance of Gaussian data at t, at `times`."""
    k = sde.k

    def rate(t, a):
        M = sde.F(t) + 0.5 * blocks.matmul(sde.GGt(t), blocks.inverse(covariance(sde, t)))
        return blocks.matmul(M, a.reshape(M.shape[:-2] + (k, k))).ravel()

    start = np.broadcast_to(blocks.identity(k), np.asarray(sde.Sigma(0.5)).shape)
    flow = solve_ivp(rate, (times[0], times[-1]), start.ravel(), "DOP853", times, rtol=1e-13, atol=1e-13)
    return flow.y.T.reshape((len(times), *start.shape))


SLOPES = [(m, p) for m, p in PAIRS if issubclass(SAMPLERS[m], Recursion) and m not in ("deis", "mldeis", "gddim")]
SLOPES = [(m, p) for m, p in SLOPES if m not in STOCHASTIC or m == "heun"]


@pytest.mark.parametrize(("method", "name"), SLOPES)
def test_error_slope_is_the_order(method, name, x64):
    """On Gaussian data with the history seeded by the exact flow, between two fine grids, within 0.15."""
    sde = PROCESSES[name]
    eps_fn = gaussian_eps(sde, jnp.zeros(SHAPE[1:]), VARIANCE)
    keys = {"rk_method": "4rk"} if method == "rho_rk" else {}
    sampler = make(method, sde, nfe=20, noise_removal=False, **keys)
    u_T = sde.prior(jax.random.key(2), SHAPE).astype(jnp.float64)
    errors, counts = [], [192, 288]
    for n in counts:
        times = np.linspace(sde.T**0.5, 0.1**0.5, n + 1) ** 2
        if method == "ipndm":
            times = np.linspace(sde.T, 0.1, n + 1)
        states = [blocks.apply(jnp.asarray(A), u_T) for A in gaussian_flow(sde, times[:4])]
        rows = sampler.table(times[3:], past=times[2::-1])
        seeds = [seed(sde, rows, eps_fn, states[i], times[i]) for i in (2, 1, 0)]
        history = jnp.repeat(jnp.stack(seeds), sampler.nfe_per_step, 0)[: rows.eps.shape[1] - 1]
        u, _ = jax.jit(lambda u, h, rows=rows: integrate(eps_fn, u, rows, h))(states[3], history)
        exact = blocks.apply(jnp.asarray(gaussian_flow(sde, times[[0, -1]])[-1]), u_T)
        errors.append(float(jnp.abs(u - exact).max()))
    slope = np.log(errors[0] / errors[1]) / np.log(counts[1] / counts[0])
    assert abs(slope - sampler.order) <= 0.15, (slope, errors)


def seed(sde, rows, eps_fn, u, t):
    """What the rows look back at, at state u and time t."""
    e = eps_fn(u, jnp.full(len(u), t))
    if rows.recall is None:
        return e
    return blocks.apply(jnp.asarray(sde.Psi(0.0, t)), u - blocks.apply(jnp.asarray(sde.R(t)), e))


@pytest.mark.parametrize(("method", "name"), [(m, p) for m, p in PAIRS if m in STOCHASTIC])
def test_stochastic_samplers_keep_the_law_of_gaussian_data(method, name):
    """Whitened by the exact mean and covariance at t_min: 0 and I within 5 standard errors and 2 % of step error."""
    sde, B = PROCESSES[name], 1500
    sampler = make(method, sde, noise_removal=False, **STOCHASTIC[method])
    u_T = sde.prior(jax.random.key(7), (B, *SHAPE[1:]))
    u = jax.jit(lambda key, u: sampler(gaussian(sde), key, u).u)(jax.random.key(8), u_T)
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
        ("gdim", "vp", {}, "'gdim' is unknown; use one of gddim"),
        ("rho_rk", "cld", {}, "one noise level for all pixels, which CLD does not have; use one of gddim"),
        ("pc", "cld", {}, "k = 1, which CLD does not have"),
        ("sscs", "ve", {}, "prior invariant under the forward process, which VE does not have"),
        ("rho_rk", "vp", {"rk_method": "5rk"}, "'5rk' is unknown; use one of 1euler"),
        ("pc", "vp", {"predictor": "euler"}, "sampling.predictor 'euler' is unknown; use one of euler_maruyama"),
        ("pc", "vp", {"predictor": "none", "corrector": "none"}, "choose at least one"),
        ("pc", "vp", {"predictor": "ancestral", "probability_flow": True}, "needs sampling.predictor euler_maruyama"),
        ("hybdeis", "cld", {"img_t_ratio": 1.5}, "must lie between 0 and 1"),
        ("sdeis", "cld", {"lambda_coef": -1.0}, "must not be negative"),
        ("heun", "vp", {"nfe": 2}, "0 sampling steps: raise config.sampling.nfe"),
        ("gddim", "vp", {"grid": "cubic"}, "'cubic' is unknown"),
    ],
)
def test_bad_requests_say_what_is_wrong(method, process, keys, message):
    with pytest.raises(ValueError, match=message):
        make(method, PROCESSES[process], **keys)


def test_the_table_names_every_method_and_its_keys():
    lines = samplers.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(SAMPLERS)
    for line, method in zip(lines[1:], SAMPLERS, strict=True):
        assert line.endswith(" ".join(samplers.keys(method))) and SAMPLERS[method].reference in line
