"""Points: check and fid give sliced Wasserstein distances, snapshots too; pictures show the data below the samples."""

import json

import numpy as np
import pytest

from configs.toy.rings_vp import get_config
from engine import score_points, snapshot
from engine.experiment import Experiment
from engine.trained import Trained
from evaluation.scatter import limit, save_scatter
from evaluation.sliced_wasserstein import sliced_wasserstein
from modes import check, fid
from tests.modes.exact import Exact

RADIUS = 0.7


def experiment(folder, **groups):
    """Rings, with the exact network of points at (RADIUS, RADIUS) in place of a trained one."""
    config = get_config()
    config.eval.update(num_samples=512, batch_size=256)
    config.sampling.nfe = 5
    for group, changes in groups.items():
        config[group].update(changes)
    made = Experiment(config, result_folder=str(folder))
    made.trained = Trained({}, "ema", "exact")
    made.eps_net = Exact(None, made.sde, mean=lambda condition: np.float32(RADIUS), spread=1e-6)
    return made


def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_check_gives_the_distance_of_the_samples_and_of_test_points(tmp_path, capsys):
    """All samples are at one point p: SW_2^2 = E (theta . (x - p))^2 = E |x - p|^2 / 2 exactly, for any data x."""
    made = experiment(tmp_path)
    check.run(made)
    x = made.dataset().arrays()[0].astype(float)
    expected = np.sqrt(np.square(x - RADIUS).sum(1).mean() / 2)
    found = report(tmp_path)
    # samples are drawn with a standard deviation of 1e-3
    np.testing.assert_allclose(found["metrics"]["sliced_wasserstein_n512"], expected, rtol=2e-3)
    test = made.dataset("test").arrays()[0][:512]
    np.testing.assert_allclose(found["held_out_sliced_wasserstein_n512"], sliced_wasserstein(test, x), rtol=1e-12)
    assert found["nfe"] == 5 and "sliced_wasserstein_n512=" in capsys.readouterr().out


def test_fid_of_points_is_the_distance_of_those_that_are_there(tmp_path):
    made = experiment(tmp_path)
    points = made.dataset("test").arrays()[0][:300]
    np.savez(tmp_path / "samples_00000.npz", samples=points[:200])
    np.savez(tmp_path / "samples_00001.npz", samples=points[200:])
    fid.run(made)
    found = report(tmp_path)
    assert found["metrics"]["sliced_wasserstein_n300"] == found["held_out_sliced_wasserstein_n300"]


def test_what_holds_no_points_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no points at"):
        score_points.read(tmp_path)
    np.savez(tmp_path / "samples_00000.npz", samples=np.zeros((2, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="samples_00000.npz: holds no points"):
        score_points.read(tmp_path)


def test_snapshots_measure_points_as_well():
    made = experiment("unused")
    measure = snapshot.make_measure(made.config, made.shape, made.dataset, "unused")()
    for first in (0, 8):
        measure.add(first, np.zeros((8, 2)))
    name, value = measure.finish()
    rings = experiment("unused").dataset().arrays()[0].astype(float)
    assert name == "sliced_wasserstein_n16"
    np.testing.assert_allclose(value, np.sqrt(np.square(rings).sum(1).mean() / 2), rtol=1e-9)


def test_a_picture_has_axes_and_the_data(tmp_path, monkeypatch):
    """The axes are those of the data; points far away do not shrink them without bound."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    kept = []
    monkeypatch.setattr(pyplot, "close", kept.append)
    rng = np.random.default_rng(0)
    data, samples = rng.uniform(-2, 2, (50, 2)), rng.uniform(-1, 1, (30, 2))
    save_scatter(samples, tmp_path / "a.png", data)
    (axis,) = kept[0].axes
    drawn = {c.get_label(): np.asarray(c.get_offsets()) for c in axis.collections}
    np.testing.assert_array_equal(drawn["data"], data)
    np.testing.assert_array_equal(drawn["samples"], samples)
    assert axis.axison and axis.get_xlim() == axis.get_ylim() and axis.get_xlim()[1] >= np.abs(data).max()
    assert limit(np.full((1, 1, 2), 100.0), data) <= 2.2 * np.abs(data).max()
    assert limit(np.full((1, 1, 2), 100.0), None) >= 100
