"""The digits, their split and scaling, and the densities of the 2-D points."""

import sys

import numpy as np
import pytest
from ml_collections import ConfigDict

import data
from data.points import POINTS
from data.source import Drawn


def load(split="train", **settings):
    return data.get_dataset(ConfigDict({"data": settings}), split)


def test_digits_are_the_scaled_originals_split_in_two():
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    scaled = (bunch.images * 255 / 16).round().astype(np.uint8)
    known = {v.tobytes(): y for v, y in zip(scaled, bunch.target, strict=True)}
    train, test = load(dataset="digits"), load("test", dataset="digits")
    assert (len(train), len(test), train.shape, train.num_classes) == (1500, 297, (8, 8, 1), 10)
    images = np.concatenate([train.arrays()[0], test.arrays()[0]])
    labels = np.concatenate([train.arrays()[1], test.arrays()[1]])
    assert all(known[image.tobytes()] == label for image, label in zip(images, labels, strict=True))
    assert sorted(image.tobytes() for image in images) == sorted(v.tobytes() for v in scaled)


def test_digits_are_stratified():
    everything = np.bincount(np.concatenate([load(s, dataset="digits").arrays()[1] for s in ("train", "test")]))
    held_out = np.bincount(load("test", dataset="digits").arrays()[1])
    assert np.abs(held_out - everything * 297 / 1797).max() <= 1


def test_digits_take_another_size_and_channels():
    source = load(dataset="digits", image_size=(16, 12), num_channels=3)
    assert source.shape == source[0]["image"].shape == (16, 12, 3)
    grey = source.arrays()[0]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_digits_without_scikit_learn_name_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        load(dataset="digits")


@pytest.mark.parametrize("name", POINTS)
def test_points_are_of_unit_scale_labelled_and_repeatable(name):
    source = load(dataset="points", points=name, num_points=8000)
    x, labels = source.arrays()
    assert (x.shape, x.dtype, source.shape) == ((8000, 2), np.float32, (2,))
    # Every density is bounded with a mean square near 1: the mean of 16,000 coordinates is good to about 0.01.
    assert abs(np.mean(np.square(x)) - 1) < 0.05
    assert sorted(set(labels.tolist())) == list(range(source.num_classes))
    np.testing.assert_array_equal(x, load(dataset="points", points=name, num_points=8000).arrays()[0])
    held_out, _ = load("test", dataset="points", points=name, num_points=8000).arrays()
    assert not set(map(tuple, x.tolist())) & set(map(tuple, held_out.tolist()))


def points(name):
    source = load(dataset="points", points=name)
    assert len(source) == 20_000
    x, labels = source.arrays()
    return x.astype(np.float64), labels


def test_rings_have_their_radii():
    x, labels = points("rings")
    radius = np.hypot(*x.T)
    for ring in range(4):
        own = radius[labels == ring]
        assert abs(own.mean() - (ring + 1) / np.sqrt(3.75)) < 5 * 0.02 / np.sqrt(len(own))
        assert abs(own.std() - 0.02) < 5 * 0.02 / np.sqrt(2 * len(own))
    assert np.abs(np.bincount(labels) - 5000).max() < 5 * np.sqrt(20_000 * 3 / 16)


def test_gaussians_have_their_centres_and_spread():
    x, labels = points("gaussians")
    for component in range(8):
        own = x[labels == component]
        angle = component * np.pi / 4
        error = own.mean(0) - np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])
        assert np.abs(error).max() < 5 * 0.1 / np.sqrt(len(own))
        np.testing.assert_allclose(np.cov(own.T), 0.01 * np.eye(2), atol=5 * 0.01 * np.sqrt(2 / len(own)))


def test_the_checkerboard_fills_eight_of_sixteen_squares_evenly():
    x, _ = points("checkerboard")
    square = np.floor(x / (np.sqrt(3) / 2)).astype(int)
    assert square.min() == -2
    assert square.max() == 1
    assert len(set((square.sum(1) % 2).tolist())) == 1
    counts = np.unique(square, axis=0, return_counts=True)[1]
    assert len(counts) == 8
    assert np.abs(counts - 2500).max() < 5 * np.sqrt(20_000 * 7 / 64)


def test_moons_lie_on_their_half_circles():
    x, labels = points("moons")
    for moon, sign in ((0, 1), (1, -1)):
        centred = x[labels == moon] / np.sqrt(2) - sign * np.array([-0.5, -0.25])
        distance = np.hypot(*centred.T) - 1
        # Noise 0.08 / sqrt(2) across a unit circle; the curvature moves the mean by half its square.
        assert abs(distance.mean() - 0.0016) < 5 * 0.0566 / np.sqrt(len(distance))
        assert (sign * centred[:, 1] > -0.35).all()


def test_the_spiral_turns_one_and_a_half_times():
    x, labels = points("spiral")
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    outer = radius > 1
    phase = angle - 1.5 * np.pi * radius - np.pi * labels
    # Noise 0.05 in the radius turns the phase by 0.05 * 1.5 pi = 0.24: E cos = exp(-0.24^2 / 2) = 0.97.
    assert np.cos(phase[outer]).mean() > 0.95


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="'ring' is unknown .did you mean rings"):
        load(dataset="points", points="ring")
    with pytest.raises(ValueError, match="did you mean test"):
        load("tests", dataset="digits")


def test_examples_that_are_drawn():
    """Different ones for every class, by the seed, in their own order; the same wherever they are drawn."""
    source = load(dataset="digits")
    chosen, again, other = (Drawn(source, 200, seed) for seed in (3, 3, 4))
    images, labels = chosen.arrays()
    assert len(np.unique(chosen._chosen)) == 200 and (np.diff(chosen._chosen) > 0).all()
    assert len(np.unique(labels)) == 10
    np.testing.assert_array_equal(images, source.arrays()[0][chosen._chosen])
    assert chosen.fingerprint() == again.fingerprint() != other.fingerprint()
    assert len(Drawn(source, 10**6, 0)) == len(source)
