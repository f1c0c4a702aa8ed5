"""Explicit times, the analytic first step, orders of iPNDM, corrections, and the tuning of a table."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine import tuning
from engine.tuning import own_times
from samplers import SAMPLERS, coefficients, grids, optimal_times
from samplers.exponential import Recursion, advance, integrate
from samplers.tuning import LOSSES, Starts, Tuner, lengths_of, times_of
from sde_lib import SDES, blocks
from sde_lib.exact import gaussian_eps

SHAPE = (4, 4, 1)
NAMES = ("vp", "ve", "cld", "hold", "blur")


def process(name):
    return SDES[name](image_shape=SHAPE[:2])


def eps_of(sde, spread=0.3):
    return gaussian_eps(sde, np.zeros(SHAPE), spread)


def sampler(sde, method="gddim", **keys):
    return SAMPLERS[method](sde, **{"nfe": 5, "noise_removal": False} | keys)


def same_rows(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_the_times_of_a_grid_by_hand_give_the_same_table(name):
    sde = process(name)
    for grid in ("power", "rho"):
        chosen = grids.make_grid(grid, sde, 6)
        ours = sampler(sde, times=tuple(chosen), noise_removal=True)
        assert ours.nfe == 7
        same_rows(ours.rows, sampler(sde, nfe=7, grid=grid, noise_removal=True).rows)
    levels = tuple(np.exp(grids.log_rho(sde, chosen)))
    by_level = sampler(sde, times=levels, times_in="rho").rows.times
    np.testing.assert_allclose(by_level, chosen[:-1], rtol=1e-6)  # bisection, where log rho is steep


@pytest.mark.parametrize(
    ("times", "unit", "words"),
    [
        ((1.0, 0.5, 0.6, 1e-3), "t", "must decrease"),
        ((1.0,), "t", "at least two"),
        ((0.9, 0.5), "t", "must begin at 1"),
        ((1.0, 1e-6), "t", "or above"),
        ((80.0, 1.0), "rho", "must begin at"),
        ((1.0, 0.5), "sigma", "use t or rho"),
    ],
)
def test_bad_times_are_refused_in_one_line(times, unit, words):
    with pytest.raises(ValueError, match=words) as error:
        sampler(process("vp"), times=times, times_in=unit)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "method"), [("ve", "gddim"), ("cld", "unipc"), ("hold", "gddim"), ("blur", "unipc")])
def test_the_analytic_first_step_is_that_of_a_network_that_sees_the_prior(name, method, x64):
    """A network that answers R^-1 u at T and the exact eps elsewhere: with one evaluation less, the same end."""
    sde = process(name)
    exact, inverse = eps_of(sde), blocks.inverse(sde.R(sde.T))

    def eps_fn(u, t):
        return jnp.where(t[0] == sde.T, blocks.apply(inverse, u), exact(u, t))

    u = sde.prior(jax.random.key(0), (3, *SHAPE)).astype(jnp.float64)
    plain = sampler(sde, method, nfe=6)
    free = sampler(sde, method, nfe=5, analytic_first=True, trajectory=True)
    assert (free.nfe, len(free.rows.times)) == (5, 6)
    found = free(exact, jax.random.key(1), u)
    np.testing.assert_allclose(found.u, plain(eps_fn, jax.random.key(1), u).u, rtol=0, atol=1e-10)
    assert found.trajectory["u"].shape == (6, *u.shape) and found.nfe == 5


def test_the_analytic_first_step_draws_the_same_noise():
    sde = process("vp")
    u = sde.prior(jax.random.key(0), (3, *SHAPE))
    inverse = blocks.inverse(sde.R(sde.T))

    def prior(u, t):
        return jnp.asarray(inverse, u.dtype)[..., 0, 0] * u

    plain = sampler(sde, "sdeis", nfe=6)(prior, jax.random.key(1), u)
    free = sampler(sde, "sdeis", nfe=5, analytic_first=True)(prior, jax.random.key(1), u)
    np.testing.assert_allclose(free.u, plain.u, rtol=1e-6, atol=1e-6)  # float32, two programs


def test_ipndm_of_order_one_is_ddim_and_its_weights_are_those_of_equal_steps():
    sde = process("vp")
    same_rows(sampler(sde, "ipndm", deis_order=0, grid="rho").rows, sampler(sde, "order0", grid="rho").rows)
    rows = sampler(sde, "ipndm", nfe=6).rows
    for order in range(4):
        lower = sampler(sde, "ipndm", nfe=6, deis_order=order).rows
        np.testing.assert_array_equal(lower.eps[: order + 1], rows.eps[: order + 1, : order + 1])
        np.testing.assert_allclose(lower.eps.sum(1), rows.eps.sum(1), rtol=1e-12)  # every order is exact for constants


def test_ipndm_on_edms_process_is_the_recursion_of_the_published_rows():
    """x += (t_{i+1} - t_i) sum_j w_j d_{i-j} on EDM's grid; w integrate powers over the next of equal steps exactly."""
    n, sde = 6, SDES["edm"]()
    rows = sampler(sde, "ipndm", nfe=n).rows
    t = (80 ** (1 / 7) + np.arange(n + 1) / n * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(rows.times, t[:-1], rtol=1e-12)
    np.testing.assert_array_equal(rows.psi, np.ones((n, 1, 1, 1, 1)))
    for i in range(n):
        order = min(i, 3)
        powers = np.vander(-np.arange(order + 1.0), increasing=True)
        weights = np.linalg.solve(powers.T, 1 / np.arange(1, order + 2))
        expected = np.append(weights, np.zeros(3 - order)) * (t[i + 1] - t[i])
        np.testing.assert_allclose(rows.eps[i, :, 0, 0, 0, 0], expected, rtol=1e-9, atol=1e-12)


def data_rows(sde, order):
    """Of order `order` from data predictions, on the grid rho."""
    times = grids.make_grid("rho", sde, 8)
    return coefficients.multistep(sde, times, order, prediction="data", variable="log_rho").eps


@pytest.mark.parametrize(
    ("method", "of_order"),
    [
        ("dpmpp_2m", lambda sde, order: data_rows(sde, 0) if not order else sampler_rows(sde, "dpmpp_2m")),
        ("dpmpp_3m", data_rows),
        ("ipndm", lambda sde, order: sampler_rows(sde, "ipndm", deis_order=order)),
    ],
)
def test_orders_fall_to_one_at_the_end_where_they_are_asked_to(method, of_order):
    """Row m before the last is that of a method of order m + 1."""
    sde = process("vp")
    found = sampler_rows(sde, method, lower_order_final=True)
    for m in range(8):
        order = min(m, found.shape[1] - 1)
        np.testing.assert_allclose(found[-1 - m, : order + 1], of_order(sde, order)[-1 - m, : order + 1], rtol=1e-12)
        assert not found[-1 - m, order + 1 :].any()


def sampler_rows(sde, method, **keys):
    return sampler(sde, method, nfe=8, grid="rho", **keys).rows.eps


def test_a_corrector_keeps_one_order_more_than_the_prediction_that_falls():
    """UniPC's last row: DDIM, and the correction that UniPC of one order less makes of the step before."""
    sde = process("vp")
    found, lower = (sampler_rows(sde, "unipc", deis_order=order, lower_order_final=order > 1) for order in (2, 1))
    wanted = lower[-1].copy()
    wanted[:2] -= data_rows(sde, 1)[-1]
    wanted[:1] += data_rows(sde, 0)[-1]
    np.testing.assert_allclose(found[-1, :3], wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    assert not found[-1, 3:].any()


@pytest.mark.parametrize("name", NAMES)
def test_corrections_add_multiples_of_what_a_row_adds(name, x64):
    sde = process(name)
    untuned = sampler(sde)
    nothing = np.zeros((5, 4, sde.k, sde.k))
    widened = dataclasses.replace(untuned, corrections=nothing)
    np.testing.assert_array_equal(widened.rows.eps[:, :3], untuned.rows.eps)
    some = nothing.copy()
    some[3, 1] = 0.25 * np.eye(sde.k)
    some[1, 3] = 1.0  # before the first row: dropped
    rows = dataclasses.replace(untuned, corrections=some).rows
    W = untuned.rows.eps.sum(1)
    np.testing.assert_allclose(rows.eps[3, 1], untuned.rows.eps[3, 1] + 0.25 * W[3], rtol=1e-12)
    assert not rows.eps[1, 3].any()
    with pytest.raises(ValueError, match="do not fit a table of 5 rows"):
        dataclasses.replace(untuned, corrections=nothing[1:])


@pytest.mark.parametrize(
    ("name", "method", "keys"),
    [
        ("vp", "unipc", {"analytic_first": True}),
        ("vp", "gddim_pec", {}),
        *((name, "gddim", {}) for name in ("cld", "hold", "blur")),
    ],
)
def test_the_gradient_is_that_of_the_loss(name, method, keys, x64):
    """Against central differences of the loss itself, in lengths and corrections, in float64."""
    sde = process(name)
    eps_fn = eps_of(sde)
    u = sde.prior(jax.random.key(0), (4, *SHAPE)).astype(jnp.float64)
    tuner = Tuner(sampler(sde, method, nfe=3, **keys), lambda params, condition: eps_fn, None, 3)
    made = tuner.sampler
    parameters = tuner.begin(np.append(made.rows.times, sde.t_min))
    starts = Starts(u, sde.project(u) * 0.1, None)
    rng = np.random.default_rng(0)
    parameters = parameters._replace(corrections=0.1 * rng.normal(size=parameters.corrections.shape))
    way = jax.tree.map(lambda a: rng.normal(size=a.shape), parameters)

    def moved(h):
        return jax.tree.map(lambda a, w: a + h * w, parameters, way)

    for tuner.loss in LOSSES.values():
        _, found = tuner.slope(parameters, starts, 3)
        high, low = (tuner.loss_of(moved(h), starts) for h in (1e-5, -1e-5))
        inner = sum((a * b).sum() for a, b in zip(found, way, strict=True))
        np.testing.assert_allclose(inner, (high - low) / 2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vp", "cld"])
def test_descent_comes_closer_from_starts_it_has_not_seen_and_repeats_itself(name, x64):
    sde = process(name)
    eps_fn = eps_of(sde)
    u = sde.prior(jax.random.key(0), (96, *SHAPE)).astype(jnp.float64)
    fine = sampler(sde, nfe=100)
    x = np.asarray(sde.project(jax.jit(lambda u: integrate(eps_fn, u, fine.rows)[0])(u)))
    seen, unseen = (Starts(u[part], x[part], None) for part in (slice(32), slice(32, None)))
    tuner = Tuner(sampler(sde, nfe=4), lambda params, condition: eps_fn, None, 3)
    begun = tuner.begin(np.append(tuner.sampler.rows.times, sde.t_min))
    seen_on_the_way = []
    once, again = (tuner.descend(begun, seen, 16, 20, seen_on_the_way.append) for _ in range(2))
    same_rows(once, again)
    same_rows(once, seen_on_the_way[-1])
    before, after = (np.sqrt((tuner.errors(tuner.tuned(p).rows, unseen) ** 2).mean()) for p in (begun, once))
    assert after < before / 2


def test_descent_survives_tables_that_leave_the_finite_numbers(x64):
    """An eps that is nan beyond the starts' own size: the first long step of the line search goes there."""
    sde = process("vp")
    exact = eps_of(sde)

    def eps_fn(u, t):
        return jnp.where(jnp.abs(u) > 4.0, jnp.nan, exact(u, t))

    u = jnp.clip(sde.prior(jax.random.key(0), (8, *SHAPE)).astype(jnp.float64), -3.9, 3.9)
    tuner = Tuner(sampler(sde, nfe=3), lambda params, condition: eps_fn, None, 3)
    begun = tuner.begin(np.append(tuner.sampler.rows.times, sde.t_min))
    starts = Starts(u, 100.0 * np.asarray(sde.project(u)), None)  # asks for states that have no eps
    before = tuner.slope(begun, starts, 8)[0]
    found = tuner.descend(begun, starts, 8, 5, lambda parameters: None)
    assert np.isfinite(tuner.slope(found, starts, 8)[0]) and tuner.slope(found, starts, 8)[0] <= before


@pytest.mark.parametrize(("name", "method"), [("cld", "gddim"), ("cld", "unipc")])
def test_sensitivities_are_the_derivatives_of_the_end_by_predicted_data(name, method, x64):
    """By autodiff of the sampler itself, with eps = R^-1 (u - Psi x_j); the end is linear in all x_j."""
    sde = process(name)
    rows = sampler(sde, method).rows

    def end(x):
        u, past = jnp.zeros((1, 1, 1, sde.k)), jnp.zeros((rows.eps.shape[1] - 1, 1, 1, 1, sde.k))
        for i, t in enumerate(rows.times):
            row = jax.tree.map(lambda a, i=i: a[i], rows)
            inverse = blocks.inverse(sde.R(t))
            mean = sde.mean(sde.lift(x[i].reshape(1, 1, 1, 1)), jnp.full(1, t))

            def eps_fn(u, t, inverse=inverse, mean=mean):
                return blocks.apply(inverse, u - mean)

            u, past, _ = advance(eps_fn, u, past, row, None, 0)
        return u.reshape(sde.k)

    wanted = np.asarray(jax.jacobian(end)(jnp.zeros(len(rows.times)))).T[:, :, None]
    found = optimal_times.sensitivities(sde, rows)[:, 0, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["vp", "cld"])
def test_steps_of_no_length_are_no_optimum(name):
    """One step to t_min and three of nearly no length have a larger bound than a grid, and the minimum a smaller."""
    ours = sampler(process(name), nfe=4, grid="power")
    collapsed = np.append(ours.sde.T, ours.sde.t_min * (1 + 1e-6 * np.arange(3, -1, -1)))
    least = tuning.network_free(ours)
    values = [
        optimal_times.bound(ours.sde, tuning.bare(ours, times).rows) for times in (collapsed, own_times(ours), least)
    ]
    assert values[0] > values[1] > values[2]
    assert (np.diff(least) < 0).all()


def test_the_cheapest_path_is_the_best_of_all():
    costs = np.triu(np.random.default_rng(0).uniform(size=(7, 7)), 1)
    costs[costs == 0] = np.inf

    def total(inner):
        path = [0, *inner, 6]
        return sum(costs[a, b] for a, b in itertools.pairwise(path))

    best = min(itertools.combinations(range(1, 6), 2), key=total)
    assert optimal_times.cheapest_path(costs, 3) == [0, *best, 6]
    with pytest.raises(ValueError, match="raise config.tune.fine_nfe"):
        optimal_times.cheapest_path(costs, 7)


def test_times_are_kept_by_their_lengths():
    for name in NAMES:
        sde = process(name)
        chosen = grids.make_grid(None, sde, 8)
        np.testing.assert_allclose(times_of(sde, lengths_of(sde, chosen, False), False), chosen, rtol=1e-9, atol=1e-12)
        free = times_of(sde, lengths_of(sde, chosen, True), True)
        assert len(free) == 9 and sde.t_min < free[-1] and free[0] == sde.T


def test_every_table_keeps_its_own_times():
    """The time of a table's evaluations in explicit form rebuilds it, bit for bit, whatever the method."""
    for method, kind in SAMPLERS.items():
        sde = process("vp")
        if issubclass(kind, Recursion) and kind.processes.accept(sde) and method != "ldeis":
            made = SAMPLERS[method](sde, nfe=8)
            steps = (8 - 1) // kind.nfe_per_step if isinstance(kind.nfe_per_step, int) else None
            if steps:
                same_rows(made.rows, SAMPLERS[method](sde, times=tuple(made.grid_times(steps))).rows)
