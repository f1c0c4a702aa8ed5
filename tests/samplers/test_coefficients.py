"""Coefficients and grids: identities for every process, and the coefficients of gDDIM."""

import numpy as np
import pytest

from samplers import coefficients, grids
from sde_lib import CLD, SDES, blocks


@pytest.fixture(params=SDES)
def sde(request):
    return SDES[request.param](image_shape=(4, 6))


@pytest.mark.parametrize("grid", grids.GRIDS)
def test_grids_decrease_from_T_to_t_min(sde, grid):
    t = grids.make_grid(grid, sde, 12, 3)
    assert len(t) == 13 and (np.diff(t) < 0).all()
    np.testing.assert_allclose([t[0], t[-1]], [sde.T, sde.t_min], rtol=1e-12)


def test_log_snr_grid_is_uniform_in_log_rho(sde):
    steps = np.diff(grids.log_rho(sde, grids.log_snr(sde, 12, 2)))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-6)


def test_power_grid_is_uniform_in_the_root(sde):
    steps = np.diff(grids.power(sde, 12, 3) ** (1 / 3))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-9)


@pytest.mark.parametrize("factor", ["R", "L"])
@pytest.mark.parametrize("grid", grids.GRIDS)
@pytest.mark.parametrize("n", [5, 50])
def test_quadrature_has_converged(sde, grid, n, factor):
    """16 against 32 Gauss nodes: 1e-10 of the largest coefficient, and no more than 1e-10 where that is below 1."""
    times = grids.make_grid(grid, sde, n, 7 if grid == "rho" else 2)
    few, many = (coefficients.multistep(sde, times, 3, factor, nodes=m).eps for m in (16, 32))
    assert np.abs(few - many).max() <= 1e-10 * max(1.0, np.abs(many).max())


def test_order_0_is_R_minus_Psi_R(sde):
    t = grids.power(sde, 20, 2)
    rows = coefficients.multistep(sde, t, 0)
    expected = sde.R(t[1:]) - blocks.matmul(sde.Psi(t[1:], t[:-1]), sde.R(t[:-1]))
    np.testing.assert_allclose(rows.eps[:, 0], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("order", [1, 2, 3])
def test_weights_sum_to_the_order_0_weight(sde, order):
    """sum_j l_j = 1, so a constant eps sees order 0 at any order."""
    t = grids.power(sde, 20, 2)
    total = coefficients.multistep(sde, t, order).eps.sum(1)
    low = coefficients.multistep(sde, t, 0).eps[:, 0]
    np.testing.assert_allclose(total, low, rtol=0, atol=1e-11 * np.abs(low).max())


def test_ramp_up_rows_are_padded_with_zeros(sde):
    eps = coefficients.multistep(sde, grids.power(sde, 6, 2), 3).eps
    for i in range(4):
        assert (eps[i, i + 1 :] == 0).all() and np.abs(eps[i, : i + 1]).min((0, 1, 2)).max() > 0


def test_past_evaluations_lift_the_order_of_the_first_rows(sde):
    t = grids.power(sde, 10, 2)
    whole = coefficients.multistep(sde, t, 3)
    rest = coefficients.multistep(sde, t[3:], 3, past=t[2::-1])
    np.testing.assert_allclose(rest.eps, whole.eps[3:], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [19, 49])
@pytest.mark.parametrize("order", range(4))
def test_gddim_coefficients(golden, n, order):
    g = golden("jax/cld_deis_coef_default.npz")
    sde, times = CLD(), g[f"rev_ts_n{n}_p2"]
    np.testing.assert_allclose(grids.power(sde, n, 2), times, atol=1e-14)
    rows = coefficients.multistep(sde, times, order)
    ours = np.concatenate([rows.psi[:, None], rows.eps], axis=1)[:, :, 0, 0]
    np.testing.assert_allclose(ours[:, 0], g[f"coef_o{order}_n{n}_p2"][:, 0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours, g[f"coef_exact_o{order}_n{n}_p2"][:, :-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours, g[f"coef_o{order}_n{n}_p2"][:, :-1], rtol=0, atol=5e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: coefficients.multistep(s, [1.0, 0.5], 4), r"order 4 \(config.sampling.deis_order\) is not"),
        (lambda s: coefficients.multistep(s, [0.5, 1.0], 0), "times must decrease"),
        (lambda s: coefficients.multistep(s, [1.0, 0.5], 0, "Q"), "'Q' is not a root of Sigma"),
        (lambda s: grids.make_grid("cubic", s, 5), "'cubic' is unknown.*choose from power"),
        (lambda s: grids.make_grid("power", s, 0), "0 sampling steps"),
    ],
)
def test_bad_requests_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(CLD())
