"""Copies among samples: a planted share is found, and what is no copy is not taken for one."""

import numpy as np
import pytest

from evaluation.memorisation import K, Neighbours


def found(samples, training, blocks=1):
    neighbours = Neighbours(samples)
    first = 0
    for block in np.array_split(training, blocks):
        neighbours.add(block, first)
        first += len(block)
    return neighbours.finish()


@pytest.fixture(scope="module")
def training():
    return np.random.default_rng(0).integers(0, 256, (400, 6, 6, 1))


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).integers(0, 256, (100, 6, 6, 1))


def test_a_planted_share_is_found(training, samples):
    """5 % copies with noise of two grey levels among samples of the same law: independent ones have r near 1."""
    planted = samples.copy()
    numbers = np.array([7, 399, 0, 123, 250])
    planted[::20] = training[numbers] + np.random.default_rng(2).integers(-2, 3, (5, 6, 6, 1))
    nearest = found(planted, training)
    assert nearest.copies.mean() == 0.05 and nearest.copies[::20].all()
    np.testing.assert_array_equal(nearest.number[::20], numbers)
    assert not found(samples, training).copies.any()


def test_by_its_definition_and_in_blocks(training, samples):
    distances = np.sqrt(((samples[:, None] - training[None]) ** 2).reshape(100, 400, -1).sum(-1))
    ordered = np.sort(distances, axis=1)
    for blocks in (1, 13, 400):
        nearest = found(samples, training, blocks)
        np.testing.assert_array_equal(nearest.number, distances.argmin(1))
        np.testing.assert_allclose(nearest.ratio, ordered[:, 0] / ordered[:, :K].mean(1), rtol=1e-9)


def test_flat_images_are_no_copies_and_doubles_are():
    """A grey image lies near to all others of little contrast; its ratio says that it is not nearer to one."""
    rng = np.random.default_rng(3)
    training = 128 + rng.integers(-3, 4, (60, 8, 8, 1))
    assert not found(128 + rng.integers(-3, 4, (4, 8, 8, 1)), training).copies.any()
    doubles = np.repeat(training[:1], 60, axis=0)
    assert found(training[:1], doubles).ratio == 0
    with pytest.raises(ValueError, match="two training images"):
        found(training[:1], training[:1])
