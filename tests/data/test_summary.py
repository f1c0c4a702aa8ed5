"""The summary of data whose moments and distances are known, and the report that suggests settings from it."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import pdist

import data
from configs.default import get_config
from data.source import ArraySource
from data.summary import summarize
from engine.experiment import Experiment
from modes import data_report


def source(images, labels=None, classes=0):
    labels = np.zeros(len(images), int) if labels is None else labels
    return ArraySource("made", "train", images, labels, classes)


def test_moments_distances_and_counts_are_those_of_numpy_and_scipy():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 5, 4, 3), np.uint8), rng.integers(0, 3, 300)
    found = summarize(source(images, labels, 4))
    np.testing.assert_allclose([found.mean, found.std], [images.mean(), images.std()], rtol=1e-12)
    # float32: squares of about 1e6 with an error of 6e-8 of themselves
    np.testing.assert_allclose(found.distance, pdist(images.reshape(300, -1).astype(float)).max(), rtol=1e-6)
    assert found.counts.tolist() == np.bincount(labels, minlength=4).tolist() and found.paired == 300


def test_mirroring_is_found_out():
    """Noise has no side; a lamp at the left of every image has one."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 200, (400, 6, 6, 1))
    # E|d|^2 / n is the error of the estimate: 1/400 of the scale for images without a side
    assert summarize(source(noise.astype(np.uint8))).asymmetry < 0.01
    lamp = noise // 50
    lamp[:, :, 0] += 200
    # d of the two outer columns is 200 in the mean with a variance of 2.5, so that |m|^2 is almost all of E|d|^2
    assert summarize(source(lamp.astype(np.uint8))).asymmetry > 0.99
    assert summarize(source(np.full((3, 4, 4, 1), 7, np.uint8))).asymmetry == 0


@pytest.mark.parametrize(
    ("size", "multipliers", "attention"),
    [
        ((32, 32), (1, 2, 2, 2), (16, 8)),  # score_sde on CIFAR-10, with DDPM's attention at 16
        ((28, 28), (1, 2, 2), (14, 7)),
        ((256, 256), (1, 1, 2, 2, 2, 2, 2), (16, 8)),  # score_sde at 256 pixels
        ((8, 16), (1, 2), (8,)),
        ((50, 50), (1, 2), ()),  # 25 is odd
        ((7, 9), (1,), (7,)),
    ],
)
def test_levels_fit_the_size(size, multipliers, attention):
    assert data_report.levels(*size) == (multipliers, attention)
    multiple = 2 ** (len(multipliers) - 1)
    assert size[0] % multiple == size[1] % multiple == 0


def test_the_report_of_own_images(tmp_path, capsys):
    """Two classes of flat 16 x 16 images, black and white: std 1, distance 2 x 16, in [-1, 1]."""
    for name, grey in (("black", 0), ("white", 255)):
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        for i in range(50):
            Image.fromarray(np.full((16, 16), grey, np.uint8)).save(tmp_path / "set" / "train" / name / f"{i}.png")
    (tmp_path / "set" / "test").mkdir()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "set" / "test" / "t.png")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "set" / "cover.png")
    config = get_config("ve")
    config.data.update(dataset="folder", path=str(tmp_path / "set"), image_size=0, num_channels=0, random_flip=False)
    config.model.prediction = "edm"
    data_report.run(Experiment(config, workdir=str(tmp_path / "run")))
    report = json.loads((tmp_path / "run" / "data_report" / "report.json").read_text())
    np.testing.assert_allclose([report["mean"], report["std"], report["largest_distance"]], [0, 1, 32], atol=1e-6)
    assert report["splits"] == {"train": 100, "test": 1}
    assert report["classes"] == {"black": 50, "white": 50} and "cover.png" in report["notes"][0]
    assert set(report["flags"]) == {
        '--config.sde.sigma_max="32.0"',
        '--config.model.sigma_data="1.0"',
        '--config.model.ch_mult="(1, 2, 2)"',
        '--config.model.attn_resolutions="(16, 8)"',
        '--config.data.random_flip="True"',
    }
    said = capsys.readouterr().out
    assert all(flag in said for flag in report["flags"]) and "black (50), white (50)" in said
    with Image.open(tmp_path / "run" / "data_report" / "grid.png") as grid:
        assert grid.size[1] > 2 * (16 + 1) * 3  # captions take room


def test_flags_that_are_set_are_not_asked_for_again(tmp_path):
    """The report of a config with its flags set has none."""
    config = get_config("ve", "unet")
    config.data.update(dataset="digits", image_size=8, num_channels=1)
    first = data_report.suggested(config, *told(config))
    for key, value in first.items():
        group, name = key.split(".")
        config[group][name] = value
    assert {"sde.sigma_max", "model.channel_mult"} <= first.keys() and data_report.suggested(
        config, *told(config)
    ) == {}


def told(config):
    digits = data.get_dataset(config)
    return digits, summarize(digits), 2 / 255
