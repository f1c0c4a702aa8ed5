"""Fréchet distance: golden values, closed forms, SciPy's matrix square root, invariances."""

import numpy as np
import pytest
import scipy.linalg

from evaluation.frechet import frechet_distance
from evaluation.moments import Moments


def gaussian_of(features):
    moments = Moments()
    moments.update(features)
    return moments.finalize()[1:]


def random_gaussian(rng, dim, rank=None):
    factor = rng.standard_normal((dim, rank or 2 * dim))
    return rng.standard_normal(dim), factor @ factor.T / factor.shape[1]


def test_golden_toy(golden):
    case = golden("torch/fid_metrics_toy.npz")
    distance = frechet_distance(*gaussian_of(case["feat_1"]), *gaussian_of(case["feat_2"]))
    # The second value is pytorch-fid's: float64 mean, scipy sqrtm; the first has a float32 mean.
    assert distance == pytest.approx(case["fid"][1], rel=1e-9)
    assert distance == pytest.approx(case["fid"][0], rel=1e-4)


def test_golden_sets_moments(golden):
    case = golden("torch/fid_sets_64.npz")
    moments = [case[f"{name}_64_{which}"] for which in "AB" for name in ("mu", "sigma")]
    np.testing.assert_allclose(frechet_distance(*moments), case["fid_64"], rtol=1e-5)


def test_commuting_covariances_have_a_closed_form():
    """For diagonal covariances d^2 = |mu_1 - mu_2|^2 + sum (s_1 - s_2)^2 with standard deviations s."""
    rng = np.random.default_rng(0)
    mu1, mu2 = rng.standard_normal((2, 30))
    s1, s2 = rng.uniform(0, 3, (2, 30))
    expected = np.sum((mu1 - mu2) ** 2) + np.sum((s1 - s2) ** 2)
    rotation = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    rotated = [rotation @ np.diag(s**2) @ rotation.T for s in (s1, s2)]
    assert frechet_distance(mu1, np.diag(s1**2), mu2, np.diag(s2**2)) == pytest.approx(expected, rel=1e-12)
    distance = frechet_distance(rotation @ mu1, rotated[0], rotation @ mu2, rotated[1])
    assert distance == pytest.approx(expected, rel=1e-10)


def test_agrees_with_scipy_sqrtm():
    rng = np.random.default_rng(1)
    (mu1, sigma1), (mu2, sigma2) = (random_gaussian(rng, 40) for _ in range(2))
    root = scipy.linalg.sqrtm(sigma1 @ sigma2).real
    expected = np.sum((mu1 - mu2) ** 2) + np.trace(sigma1 + sigma2 - 2 * root)
    assert frechet_distance(mu1, sigma1, mu2, sigma2) == pytest.approx(expected, rel=1e-10)


def test_orthogonal_transform_and_translation_leave_it_unchanged():
    rng = np.random.default_rng(2)
    (mu1, sigma1), (mu2, sigma2) = random_gaussian(rng, 25), random_gaussian(rng, 25, rank=10)
    rotation, offset = np.linalg.qr(rng.standard_normal((25, 25)))[0], rng.standard_normal(25)
    moved1 = (rotation @ mu1 + offset, rotation @ sigma1 @ rotation.T)
    moved2 = (rotation @ mu2 + offset, rotation @ sigma2 @ rotation.T)
    distance = frechet_distance(mu1, sigma1, mu2, sigma2)
    assert frechet_distance(*moved1, *moved2) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(mu2, sigma2, mu1, sigma1) == pytest.approx(distance, rel=1e-12)


def test_singular_covariances():
    """Rank 5 in 60 dimensions: zero to itself; with orthogonal ranges the trace term is zero."""
    rng = np.random.default_rng(3)
    mu, sigma = random_gaussian(rng, 60, rank=5)
    assert frechet_distance(mu, sigma, mu, sigma) < 1e-12 * np.trace(sigma)
    first, second = np.zeros((60, 60)), np.zeros((60, 60))
    first[:5, :5], second[5:10, 5:10] = np.eye(5), 4 * np.eye(5)
    assert frechet_distance(mu, first, mu, second) == pytest.approx(25.0, rel=1e-12)
    assert frechet_distance(mu, np.zeros((60, 60)), mu + 1, sigma) == pytest.approx(60 + np.trace(sigma))


def test_refuses_what_does_not_fit():
    eye = np.eye(3)
    with pytest.raises(ValueError, match="feature dimensions differ: 3 and 2"):
        frechet_distance(np.zeros(3), eye, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(np.full(3, np.nan), eye, np.zeros(3), eye)
    with pytest.raises(ValueError, match=r"must be \(D,\) and \(D, D\)"):
        frechet_distance(np.zeros(3), np.eye(2), np.zeros(3), eye)
