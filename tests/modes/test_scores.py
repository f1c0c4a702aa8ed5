"""Scores are of the images that the user means: reference statistics by content, and refusals before the work."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import linnet
from configs.iddpm.digits import get_config
from data import image_rule
from data.files import DirectoryFiles
from engine import reference, score_images, snapshot
from engine.experiment import Experiment
from engine.trained import Trained
from evaluation.features import get_extractor
from evaluation.precision_recall import precision_recall
from evaluation.statistics import load_statistics
from interop import safetensors
from linnet.command import is_ours
from modes import check, export, fid, fid_stats
from tests.modes.exact import digits_config, exact_experiment


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def picture(path, seed, shape=(9, 6, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, *shape)).save(path)


def own_images(folder, result, seeds=(0, 1, 2, 3, 4), **data):
    """An Experiment on pictures that it makes in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    for i, seed in enumerate(seeds):
        picture(folder / f"{i}.png", seed)
    return reading(folder, result, **data)


def reading(folder, result, **data):
    """An Experiment on the pictures of a folder, to be scored in the features of pixels."""
    config = get_config()
    with config.ignore_type():
        config.data.update({"dataset": "folder", "path": str(folder), "image_size": 6, "num_channels": 3, **data})
    config.eval.update({"extractor": "pixels", "held_out": False})
    return Experiment(config, result_folder=None if result is None else str(result))


def reference_of(experiment, folder):
    return reference.make_reference(experiment.dataset(), "train", get_extractor("pixels"), folder)


OTHERS = {
    "another folder of the same name": lambda f, r: own_images(f.parent / "cats" / "images", r, (5, 6, 7, 8, 9)),
    "one picture more": lambda f, r: own_images(f, r, (0, 1, 2, 3, 4, 5)),
    "one picture changed": lambda f, r: own_images(f, r, (0, 1, 2, 3, 5)),
    "another size": lambda f, r: own_images(f, r, image_size=4),
    "another crop": lambda f, r: own_images(f, r, crop=4),
    "other channels": lambda f, r: own_images(f, r, num_channels=1),
}


@pytest.mark.parametrize("change", OTHERS)
def test_statistics_of_other_images_are_made_anew(change, tmp_path, capsys):
    result, folder = tmp_path / "result", tmp_path / "images"
    old = reference_of(own_images(folder, result), result)
    experiment = OTHERS[change](folder, result)
    new, fresh = reference_of(experiment, result), reference_of(experiment, tmp_path / "fresh")
    assert capsys.readouterr().out.endswith("npz is of other images: statistics are made anew\n")
    np.testing.assert_array_equal(new.mu, fresh.mu)
    assert old.mu.shape != new.mu.shape or np.abs(old.mu - new.mu).max() > 1e-3


def test_statistics_of_the_same_images_are_kept_wherever_they_lie(tmp_path, monkeypatch, capsys):
    result = tmp_path / "result"
    own_images(tmp_path / "images", result)
    zipped = tmp_path / "images.zip"
    kept = reference_of(reading(tmp_path / "images", result), result)
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in sorted((tmp_path / "images").iterdir()):
            archive.write(path, path.name)
    monkeypatch.setattr(reference, "compute", None)
    shutil.copytree(tmp_path / "images", tmp_path / "moved" / "images")
    for path in (tmp_path / "images", tmp_path / "moved" / "images", zipped):
        np.testing.assert_array_equal(reference_of(reading(path, result), result).mu, kept.mu)
    assert "anew" not in capsys.readouterr().out


def test_statistics_of_what_pillow_made_otherwise_are_made_anew(tmp_path, monkeypatch, capsys):
    """Another version of it that rounds by one grey level, say."""
    result, folder = tmp_path / "result", tmp_path / "images"
    own_images(folder, result)
    reference_of(reading(folder, result), result)
    right = image_rule.resize
    monkeypatch.setattr(image_rule, "resize", lambda image, *size: right(image, *size).point(lambda v: v ^ 1))
    reference_of(reading(folder, result), result)
    assert "of other images: statistics are made anew" in capsys.readouterr().out


def test_statistics_that_do_not_say_of_which_images_are_made_anew(tmp_path, capsys):
    """As all were before they said so."""
    result, folder = tmp_path / "result", tmp_path / "images"
    experiment = own_images(folder, result)
    reference_of(experiment, result)
    (path,) = result.glob("stats_*.npz")
    with np.load(path) as arrays:
        older = {key: value for key, value in arrays.items() if key != "fingerprint"}
    np.savez(path, **older | {"mu": older["mu"] + 1})
    assert reference_of(experiment, result).mu.max() <= 1
    assert f"{path} does not say of which images it is: statistics are made anew" in capsys.readouterr().out


def test_the_distance_of_snapshots_is_to_these_images(tmp_path):
    """The statistics of a workdir whose data.path was changed."""
    workdir = tmp_path / "run"
    statistics = []
    for seeds in ((0, 1, 2, 3), (5, 6, 7, 8)):
        experiment = own_images(tmp_path / "images", None, seeds)
        experiment.paths.workdir = str(workdir)
        pictures, _ = experiment.dataset().arrays()
        measure = snapshot.make_measure(experiment.config, experiment.shape, experiment.dataset, str(workdir))()
        measure.add(0, pictures)
        _, distance = measure.finish()
        assert abs(distance) < 1e-4  # of the images to themselves; those of other seeds are 1 and more away
        statistics.append(reference_of(experiment, workdir))
        images = pictures.reshape(4, -1) / 255
        np.testing.assert_allclose(statistics[-1].mu, images.mean(0), rtol=1e-6)


def scored(folder, path):
    """The report of fid on what lies at `path`, against the pictures of a folder."""
    fid.run(reading(folder, path))
    return json.loads(Path(score_images.report_path(str(path))).read_text())


@pytest.mark.parametrize("key", ["arr_0", "samples", "images"])
def test_a_single_archive_is_scored(key, tmp_path):
    own_images(tmp_path / "data", None)
    images = noise(9, 7, 6, 6, 3)
    np.savez(tmp_path / "mine.npz", **{key: images})
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "folder" / "samples_0.npz", samples=images)
    alone, in_folder = (scored(tmp_path / "data", tmp_path / name) for name in ("mine.npz", "folder"))
    assert alone["metrics"] == in_folder["metrics"] and alone["n"] == 7
    assert (tmp_path / "mine_report.json").exists()


def test_precision_and_recall_are_in_the_report(tmp_path):
    """Those of the features themselves, which here are the pixels."""
    own_images(tmp_path / "data", None, range(12))
    images = noise(9, 8, 6, 6, 3)
    images[:4] = reading(tmp_path / "data", None).dataset().arrays()[0][:4]
    np.savez(tmp_path / "mine.npz", images)
    report = scored(tmp_path / "data", tmp_path / "mine.npz")
    real = reading(tmp_path / "data", None).dataset().arrays()[0].reshape(12, -1) / 255
    wanted = precision_recall(images.reshape(8, -1) / 255, real)
    assert report["metrics"]["precision_n8"] == wanted.precision >= 0.5
    assert report["metrics"]["recall_n8"] == wanted.recall > 0


def test_planted_copies_are_reported_with_their_pairs(tmp_path):
    """One of eight samples is a training image with grey levels that differ by one; the others are noise."""
    own_images(tmp_path / "data", None, range(60))
    experiment = reading(tmp_path / "data", str(tmp_path / "mine.npz"))
    experiment.config.eval.memorisation = True
    images = noise(9, 8, 6, 6, 3)
    images[5] = experiment.dataset()[17]["image"] ^ 1
    np.savez(tmp_path / "mine.npz", images)
    fid.run(experiment)
    found = json.loads((tmp_path / "mine_report.json").read_text())["memorisation"]
    assert found["samples"]["pixels"]["copies"] == found["samples"]["features"]["copies"] == 1 / 8
    assert found["samples"]["pixels"]["smallest_ratio"] < 0.05
    assert (tmp_path / "copies.png").exists()


def damaged(path):
    """An archive with a wrong checksum."""
    np.savez(path, arr_0=noise(0, 5, 6, 6, 3))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


def cut(path):
    damaged(path)
    path.write_bytes(path.read_bytes()[:300])


def pickled(path):
    np.savez(path, arr_0=np.array([{}], object))


def of_nothing(path):
    np.savez(path, arr_0=np.zeros((0, 6, 6, 3), np.uint8))


def of_another_size(path):
    np.savez(path, arr_0=noise(0, 5, 8, 6, 3))


BAD = {
    "damaged.npz": (damaged, "damaged.npz: the array 'arr_0' cannot be read, it is damaged .*CRC"),
    "cut.npz": (cut, "cut.npz: not a readable .npz file"),
    "pickled.npz": (pickled, "pickled.npz: the array 'arr_0' cannot be read"),
    "empty.npz": (of_nothing, "empty.npz holds no images"),
    "size.npz": (of_another_size, r"size.npz holds images of \(8, 6\) pixels and the data is read as \(6, 6\): set"),
    "misspelt": (lambda path: None, "misspelt"),
    "misspelt.npz": (lambda path: None, "misspelt.npz"),
    "folder": (Path.mkdir, "folder"),
    "file": (Path.touch, "file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_scored_is_said_in_one_line_before_the_reference_is_made(name, tmp_path, monkeypatch):
    own_images(tmp_path / "data", None)
    make, message = BAD[name]
    make(tmp_path / name)
    monkeypatch.setattr(reference, "compute", None)
    with pytest.raises((ValueError, OSError), match=message) as refused:
        fid.run(reading(tmp_path / "data", tmp_path / name))
    assert "\n" not in str(refused.value) and is_ours(refused.value)


def test_statistics_go_to_the_clone_from_any_working_directory(tmp_path, monkeypatch):
    """assets/stats of the clone, not of where the command was typed."""
    own_images(tmp_path / "data", None)
    monkeypatch.setattr(linnet, "BESIDE", tmp_path / "clone")
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "main.py").touch()
    monkeypatch.chdir(tmp_path / "data")
    fid_stats.run(reading(tmp_path / "data", None))
    (written,) = (tmp_path / "clone" / "assets" / "stats").iterdir()
    assert load_statistics(written).n == 5 and not (tmp_path / "data" / "assets").exists()


def test_where_nothing_can_be_written_is_said_before_the_pass(tmp_path, monkeypatch):
    own_images(tmp_path / "data", None)
    (tmp_path / "file").touch()
    monkeypatch.setattr(reference, "collect_source", None)
    monkeypatch.setattr(Experiment, "trained", None)
    for run, path, message in (
        (fid_stats.run, tmp_path, f"cannot write {tmp_path}: it is a folder; name a file in it"),
        (fid_stats.run, tmp_path / "file" / "stats.npz", "cannot write .*stats.npz"),
        (export.run, tmp_path / "file", "cannot write .*config.json"),
    ):
        with pytest.raises(OSError, match=message) as refused:
            run(reading(tmp_path / "data", path))
        assert "\n" not in str(refused.value) and is_ours(refused.value)


def test_an_export_does_not_replace_the_config_of_a_run(tmp_path):
    """But that of an older export."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"seed": 1}')
    with pytest.raises(ValueError, match="run.config.json is not that of an export"):
        export.run(exact_experiment(digits_config(), tmp_path / "run"))
    assert (tmp_path / "run" / "config.json").read_text() == '{"seed": 1}'
    for weight in (1.0, 2.0):
        experiment = exact_experiment(digits_config(), tmp_path / "export")
        experiment.trained = Trained({"Dense_0": {"bias": np.full(3, weight, np.float32)}}, "ema", "exact")
        export.run(experiment)
        written, _ = safetensors.read(tmp_path / "export" / "model.safetensors")
        np.testing.assert_array_equal(written["Dense_0/bias"], weight)


def test_data_without_test_images_go_without_their_distance(tmp_path, capsys):
    own_images(tmp_path / "data", None)
    experiment = reading(tmp_path / "data", tmp_path / "data")
    experiment.config.eval.held_out = True
    fid.run(experiment)
    report = json.loads((tmp_path / "data" / "report.json").read_text())
    assert not any(name.startswith("held_out") for name in report) and "frechet_n5" in report["metrics"]
    assert "no distance of held-out images: " in capsys.readouterr().out


def test_samples_that_cannot_be_kept_are_said_before_the_reference_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "compute", None)
    c = digits_config()
    c.eval.extractor = "digits"
    np.savez(tmp_path / "samples_00000.npz", samples=np.zeros((8, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="does not say by which parameters"):
        check.run(exact_experiment(c, tmp_path))


def test_statistics_read_each_image_once(tmp_path, monkeypatch):
    """For its decoding and for its checksum; opening the data set looks at some as well."""
    source = own_images(tmp_path / "images", None).dataset()
    read, bytes_of = [], DirectoryFiles.bytes_of
    monkeypatch.setattr(DirectoryFiles, "bytes_of", lambda files, name: read.append(name) or bytes_of(files, name))
    statistics = reference.compute(source, get_extractor("pixels"))
    assert sorted(read) == [f"{i}.png" for i in range(5)]
    assert statistics.fingerprint == reading(tmp_path / "images", None).dataset().fingerprint()
