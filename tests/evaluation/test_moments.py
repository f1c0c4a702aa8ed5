"""Streaming moments against NumPy's batch formulas, and independence of order and grouping."""

import numpy as np
import pytest

from evaluation.moments import Moments


@pytest.fixture(scope="module")
def features():
    """Mean 1e4 times the deviation: a sum of squares would lose eight digits."""
    rng = np.random.default_rng(0)
    return 1e4 + rng.standard_normal((500, 12)) @ rng.standard_normal((12, 12))


def accumulate(parts):
    moments = Moments()
    for part in parts:
        moments.update(part)
    return moments


def assert_same(moments, features, tolerance=1e-12):
    n, mu, sigma = moments.finalize()
    assert n == len(features)
    np.testing.assert_allclose(mu, features.mean(axis=0), rtol=1e-14)
    expected = np.cov(features, rowvar=False)
    np.testing.assert_allclose(sigma, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("sizes", [(500,), (1,) * 500, (3, 250, 0, 247), (499, 1)])
def test_streaming_equals_batch(features, sizes):
    assert_same(accumulate(np.split(features, np.cumsum(sizes)[:-1])), features)


def test_order_does_not_matter(features):
    shuffled = features[np.random.default_rng(1).permutation(len(features))]
    assert_same(accumulate(np.split(shuffled, 10)), features)


def test_merge_is_associative_and_leaves_its_argument(features):
    parts = np.split(features, [100, 130])
    left, right = accumulate(parts[:1]), accumulate(parts[1:2])
    before = right.finalize()
    left.merge(right)
    left.merge(accumulate(parts[2:]))
    tail = accumulate(parts[1:2])
    tail.merge(accumulate(parts[2:]))
    head = Moments()
    head.merge(accumulate(parts[:1]))
    head.merge(tail)
    head.merge(Moments())
    assert_same(left, features)
    assert_same(head, features)
    np.testing.assert_array_equal(right.finalize().sigma, before.sigma)


def test_float32_features_are_accumulated_in_float64():
    features = np.random.default_rng(2).random((1000, 3), np.float32)
    assert_same(accumulate(np.split(features, 50)), features.astype(np.float64))


def test_refusals():
    with pytest.raises(ValueError, match="at least 2 feature vectors, got 1"):
        accumulate([np.zeros((1, 3))]).finalize()
    with pytest.raises(ValueError, match="NaN or infinity"):
        Moments().update(np.array([[np.inf, 0.0]]))
    with pytest.raises(ValueError, match="4 dimensions, earlier batches had 3"):
        accumulate([np.zeros((2, 3)), np.zeros((2, 4))])
