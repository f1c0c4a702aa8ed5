"""KID, Inception score, precision and recall: golden values and identities."""

import numpy as np
import pytest

from evaluation import kid as kid_module
from evaluation import precision_recall as precision_recall_module
from evaluation.inception_score import inception_score
from evaluation.kid import kid, mmd2, polynomial_kernel
from evaluation.precision_recall import precision_recall


@pytest.fixture(scope="module")
def toy(golden):
    return golden("torch/fid_metrics_toy.npz")


def gaussian_kernel(x, y):
    """exp(-|x - y|^2 / (2 * 4^2)), the other kernel of the golden case."""
    squared = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1)
    return np.exp(-squared / 32.0)


@pytest.mark.parametrize(("key", "kernel"), [("kid", polynomial_kernel), ("kid_rbf", gaussian_kernel)])
def test_kid_golden(toy, key, kernel):
    found = kid(toy["feat_1"], toy["feat_2"], subsets=20, subset_size=50, kernel=kernel)
    np.testing.assert_allclose(found[:2], toy[key], rtol=1e-3, atol=1e-5)  # the reference is float32


def test_kid_golden_full(toy):
    np.testing.assert_allclose(mmd2(toy["feat_1"], toy["feat_2"]), toy["kid_full"][0], rtol=1e-3, atol=1e-5)


def test_mmd_is_unbiased():
    """Same distribution: mean over repetitions within 4 standard errors of 0; the biased estimator is not."""
    rng = np.random.default_rng(0)
    values = np.array([mmd2(*rng.standard_normal((2, 20, 4))) for _ in range(300)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 4 * error
    diagonal = 2 * (1 + 1.0) ** 3 / 20  # what including i = j would add, at |x|^2 = D
    assert diagonal > 10 * error


def test_mmd_by_its_definition_and_in_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((11, 3)), rng.standard_normal((7, 3)) + 0.5

    def mean(pairs):
        return np.mean([(a @ b / 3 + 1) ** 3 for a, b in pairs])

    expected = (
        mean([(x[i], x[j]) for i in range(11) for j in range(11) if i != j])
        + mean([(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
        - 2 * mean([(a, b) for a in x for b in y])
    )
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(kid_module, "ROWS", 4)
    assert mmd2(x, y) == pytest.approx(expected, rel=1e-12)


def test_kid_refuses_small_sets():
    with pytest.raises(ValueError, match="subsets of 1000 need as many vectors in each set, got 5 and 2000"):
        kid(np.zeros((5, 2)), np.zeros((2000, 2)))


def test_inception_score_golden(toy):
    np.testing.assert_allclose(inception_score(toy["logits"]), toy["isc_shuffled"], rtol=1e-6)
    np.testing.assert_allclose(inception_score(toy["logits"], shuffle_seed=None), toy["isc_plain"], rtol=1e-6)


def test_inception_score_limits():
    """1 when the classifier never changes its mind; K when it is certain of K equally common classes."""
    assert inception_score(np.ones((40, 5)), splits=2).mean == pytest.approx(1.0)
    certain = np.tile(1e3 * np.eye(5), (8, 1))
    assert inception_score(certain, splits=4, shuffle_seed=None).mean == pytest.approx(5.0)
    with pytest.raises(ValueError, match="10 splits need logits"):
        inception_score(np.ones((9, 5)))


def test_precision_recall_golden(toy):
    found = precision_recall(toy["feat_1"], toy["feat_2"])[:3]
    np.testing.assert_allclose(found, toy["prc"], atol=1 / len(toy["feat_1"]))


def test_precision_recall_of_known_sets(monkeypatch):
    """A set against itself: all inside, each ball holds its centre and its 5 neighbours. One real cluster of two."""
    monkeypatch.setattr(precision_recall_module, "ROWS", 7)
    rng = np.random.default_rng(2)
    cluster = rng.uniform(size=(30, 2))
    assert precision_recall(cluster, cluster) == (1.0, 1.0, 1.0, pytest.approx(6 / 5), 1.0)
    real = np.concatenate([cluster, cluster + 100.0])
    found = precision_recall(cluster, real)
    assert found == (1.0, 0.5, pytest.approx(2 / 3), pytest.approx(6 / 5), 0.5)
    assert precision_recall(cluster + 1000.0, cluster) == (0.0, 0.0, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="more than 5 vectors"):
        precision_recall(cluster[:3], cluster)


def test_an_outlier_fools_precision_and_not_density():
    """Naeem et al.: one real outlier has a ball that holds all generated vectors beside the real ones."""
    rng = np.random.default_rng(3)
    real = np.concatenate([rng.normal(size=(60, 2)), [[40.0, 0.0]]])
    generated = rng.normal(size=(60, 2)) * 0.1 + [8.0, 0.0]
    found = precision_recall(generated, real)
    assert found.precision == 1
    assert found.density <= 1 / 5 + 1e-12 and found.coverage <= 1 / 61 + 1e-12
