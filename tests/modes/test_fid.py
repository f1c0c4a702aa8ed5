"""Scores of a folder of real images, whose classes are known."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from configs.accr_dcifar10_config import get_config as gddim
from configs.iddpm.digits import get_config
from data import get_dataset
from engine import reference, score_images
from engine.experiment import Experiment
from evaluation.features import get_extractor
from modes import check, fid


def test_agreement_is_the_share_of_images_that_are_of_the_class_asked_for():
    """Held-out digits, class after class in turn, of which every fourth was put where another class is asked for."""
    config = get_config()
    images, labels = get_dataset(config, "test").arrays()
    by_class = [images[labels == label][:20] for label in range(10)]
    in_turn = np.stack(by_class, axis=1).reshape(-1, *images.shape[1:])
    labels_of, extractor = Experiment(config).conditions.labels, get_extractor("digits")
    right = score_images.label_agreement(extractor, [in_turn], labels_of)["label_agreement"]
    assert right > 0.9  # the classifier's share of correct answers on held-out digits
    moved = in_turn.copy()
    moved[::4] = np.roll(in_turn, -1, axis=0)[::4]
    wrong = score_images.label_agreement(extractor, [moved[:50], moved[50:]], labels_of)["label_agreement"]
    assert abs(wrong - 0.75 * right) < 0.05


def test_statistics_that_are_not_there_are_said_before_sampling(tmp_path):
    config = get_config()
    config.eval.stats = str(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match="no statistics at"):
        check.run(Experiment(config, workdir=str(tmp_path)))


def noise(i, *shape, levels=256):
    return np.random.default_rng(i).integers(0, levels, shape)


def turned(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(4):
        Image.fromarray(noise(i, 6, 9, 3).astype(np.uint8)).save(folder / f"{i}.png", exif=exif)


def copies(folder):
    for i in range(4):
        for name in (f"{i}.png", f".ipynb_checkpoints/{i}-checkpoint.png", f"__MACOSX/._{i}.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            Image.fromarray(noise(i, 9, 6).astype(np.uint8)).save(folder / name)
        (folder / f"._{i}.png").write_bytes(b"no picture")


def links(folder):
    copies(folder)
    (folder / "again").symlink_to(folder)
    (folder / "0.png").rename(folder.parent / "elsewhere.png")
    (folder / "0.png").symlink_to(folder.parent / "elsewhere.png")


def stray(folder):
    """Beside two folders, as a preview is."""
    copies(folder)
    for name in "ab":
        (folder / name).mkdir()
        for i in range(3):
            Image.fromarray(noise(i, 9, 6).astype(np.uint8)).save(folder / name / f"{i}.png")
    for i in range(1, 4):
        (folder / f"{i}.png").unlink()


def save_as(mode, suffix="png", **more):
    def save(folder):
        for i in range(4):
            Image.fromarray(noise(i, 9, 6, 4).astype(np.uint8)).convert(mode).save(folder / f"{i}.{suffix}", **more)

    return save


def deep(levels):
    def save(folder):
        for i in range(4):
            Image.fromarray(noise(i, 9, 6, levels=levels).astype(np.uint16)).save(folder / f"{i}.png")

    return save


FOLDERS = {
    "16-bit grey": deep(2**16),
    "12 bits in 16": deep(2**12),
    "EXIF orientation": turned,
    "hidden copies": copies,
    "links": links,
    "a picture beside class folders": stray,
    "alpha": save_as("RGBA"),
    "grey with alpha": save_as("LA"),
    "palette": save_as("P"),
    "palette with a transparent colour": save_as("P", "gif", transparency=0),
    "bilevel": save_as("1"),
    "CMYK": save_as("CMYK", "jpg"),
    "bitmaps": save_as("RGB", "bmp"),
}


@pytest.mark.parametrize("channels", [0, 1, 3])
@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_is_at_no_distance_from_itself(case, channels, tmp_path):
    """Whatever its pictures are and the data asks for: here another size, a crop and other channels."""
    folder = tmp_path / "set"
    folder.mkdir()
    FOLDERS[case](folder)
    config = get_config()
    config.data.update({"dataset": "folder", "path": str(folder), "num_channels": channels})
    with config.ignore_type():
        config.data.update({"image_size": (4, 5), "crop": 8} if channels else {"image_size": 0})
    config.eval.update({"extractor": "pixels", "held_out": False})
    experiment = Experiment(config, workdir=str(tmp_path / "run"), result_folder=str(folder))
    images, _ = experiment.dataset().arrays()
    assert len(np.unique(images)) > 1
    np.testing.assert_array_equal(
        np.concatenate(list(fid.read_images(experiment.config.data, experiment.shape, str(folder)))), images
    )
    fid.run(experiment)
    report = json.loads((folder / "report.json").read_text())
    # Square roots of covariances of 60 or more pixels in [0, 1] are off by the root of float64's rounding at most.
    assert abs(report["metrics"][f"frechet_n{len(images)}"]) < 1e-6


def test_pictures_of_another_size_are_read_as_the_data_are(tmp_path, capsys):
    """And what was done is said. A zip of them is read like a folder, a path with nothing is named."""
    save_as("RGB")(tmp_path)
    config = get_config()
    experiment = Experiment(config)
    (batch,) = fid.read_images(experiment.config.data, experiment.shape, str(tmp_path))
    assert batch.shape == (4, *experiment.shape) == (4, 8, 8, 1)
    assert "4 images, read as (8, 8, 1) like the data" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i in range(4):
            archive.write(tmp_path / f"{i}.png", f"{i}.png")
    (packed,) = fid.read_images(experiment.config.data, experiment.shape, str(tmp_path / "set.zip"))
    np.testing.assert_array_equal(packed, batch)
    with pytest.raises(FileNotFoundError, match="no samples at .*absent"):
        next(fid.read_images(experiment.config.data, experiment.shape, str(tmp_path / "absent")))
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="bare' has no images"):
        fid.read_images(experiment.config.data, experiment.shape, str(tmp_path / "bare"))


@pytest.mark.parametrize("made", [True, False])
def test_another_number_of_features_is_said_before_the_work(made, tmp_path):
    """Colour in an .npz against grey data by their pixels; statistics that are made of the data, and that are there."""
    np.savez(tmp_path / "colour.npz", samples=noise(0, 300, 8, 8, 3).astype(np.uint8))
    config = get_config()
    config.eval.update({"extractor": "pixels", "held_out": False})
    if not made:
        np.savez(tmp_path / "grey.npz", images=noise(1, 80, 8, 8, 1).astype(np.uint8))
        config.eval.stats = str(tmp_path / "grey.npz")
    run = Experiment(config, workdir=str(tmp_path / "run"), result_folder=str(tmp_path / "colour.npz"))
    with pytest.raises(ValueError, match=r"has 64 features an image, and 'pixels' makes 192 of images \(8, 8, 3\)"):
        fid.run(run)
    assert not (tmp_path / "run").exists() and not (tmp_path / "colour_report.json").exists()


def test_only_the_samples_that_were_asked_for_are_scored():
    batches = [np.arange(4), np.arange(4, 8), np.arange(8, 12)]
    assert np.concatenate(list(score_images.first(iter(batches), 6))).tolist() == list(range(6))
    assert np.concatenate(list(score_images.first(iter(batches), 8))).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, True),
        ({"data.image_size": (32, 32)}, True),
        ({"data.image_size": 16}, False),
        ({"data.dataset": "folder"}, False),
        ({"eval.split": "test"}, False),
        ({"eval.extractor": "pixels"}, False),
    ],
)
def test_published_statistics_of_cifar10_are_found_where_their_authors_put_them(tmp_path, monkeypatch, change, found):
    """gDDIM's command names no statistics; its README puts the file into assets/stats."""
    monkeypatch.setattr(reference, "stats_folder", lambda: tmp_path)
    config = gddim()
    config.update_from_flattened_dict(change)
    assert reference.stats_path(config) == ""
    (tmp_path / "cifar10_stats.npz").touch()
    assert reference.stats_path(config) == (str(tmp_path / "cifar10_stats.npz") if found else "")
    config.eval.stats = "mine.npz"
    assert reference.stats_path(config) == "mine.npz"
