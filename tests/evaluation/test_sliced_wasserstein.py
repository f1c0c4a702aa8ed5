"""The sliced Wasserstein distance: closed forms, optimal assignments, and POT where it is installed."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from evaluation.sliced_wasserstein import directions_of, sliced_wasserstein, squared_distances


def points(seed, n, dimensions=2):
    return np.random.default_rng(seed).standard_normal((n, dimensions))


def test_gaussians_in_one_dimension():
    """W_2^2 = (m_1 - m_2)^2 + (s_1 - s_2)^2; quantiles at the middle of n equal parts lose variance like 1 / n."""
    q = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    found = sliced_wasserstein(1 + 2 * q, -0.5 + 0.5 * q)
    assert abs(found**2 - (1.5**2 + 1.5**2)) < 4 * 1.5**2 / 4000


def test_a_shift_is_its_length_over_the_root_of_the_dimension():
    """E (theta . c)^2 = |c|^2 / D: exact on even directions in the plane, else to the error of the mean."""
    for dimensions, tolerance in ((1, 1e-12), (2, 1e-12), (5, 5 / np.sqrt(4096))):
        shift = np.arange(1, dimensions + 1.0)
        x = points(0, 50, dimensions)
        expected = np.linalg.norm(shift) / np.sqrt(dimensions)
        np.testing.assert_allclose(sliced_wasserstein(x, x + shift, directions=4096), expected, rtol=tolerance)


def test_isotropic_gaussians_in_the_plane():
    """Every projection of N(0, s^2 I) is N(0, s^2), so that SW_2 = |s_1 - s_2|, to the error of 20,000 points."""
    found = sliced_wasserstein(points(1, 20_000), 3 * points(2, 20_000))
    assert abs(found - 2) < 5 * 3 / np.sqrt(20_000)


@pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 8), (5, 7), (1, 4)])
def test_one_dimension_is_the_best_assignment(n, m):
    """Of each point taken lcm / n times, by the Hungarian method."""
    a, b = points(3, n, 1), points(4, m, 1)
    total = np.lcm(n, m)
    cost = np.square(np.repeat(a, total // n, 0) - np.repeat(b, total // m, 0).T)
    rows, columns = linear_sum_assignment(cost)
    np.testing.assert_allclose(squared_distances(a, b), cost[rows, columns].mean(), rtol=1e-12)


def test_rotations_and_order_do_not_matter():
    """Even directions are turned into others: what is left is the error of a quadrature of 256 directions."""
    x, y = points(5, 300), points(6, 200) * [1, 3]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    expected = sliced_wasserstein(x, y)
    np.testing.assert_allclose(sliced_wasserstein(y[::-1], x), expected, rtol=1e-12)
    np.testing.assert_allclose(sliced_wasserstein(x @ turn, y @ turn), expected, rtol=1e-3)


def test_pot_agrees_on_the_same_directions():
    ot = pytest.importorskip("ot", reason="POT is not installed")
    x, y = points(7, 300), 2 * points(8, 170) + 1
    theirs = ot.sliced_wasserstein_distance(x, y, projections=directions_of(2, 256), p=2)
    np.testing.assert_allclose(sliced_wasserstein(x, y), theirs, rtol=1e-9)


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(3, 4\)"):
        sliced_wasserstein(points(0, 3), points(0, 3, 4))
    with pytest.raises(ValueError, match="finite"):
        sliced_wasserstein(np.full((3, 2), np.nan), points(0, 3))
