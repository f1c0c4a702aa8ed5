"""An .npz of images, and MedMNIST's, give the images, labels and splits that went into them, or one clear line."""

import re

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

import data
from configs.default import get_config
from engine.outliers import open_outliers
from evaluation.collect import collect
from evaluation.features import get_extractor
from evaluation.images import iterate_images
from evaluation.statistics import from_collected, load_statistics
from linnet import overrides
from tests.conftest import ROOT

SIZES = {"train": 12, "val": 5, "test": 7}


def grey(split, side=28):
    """Grey images (N, side, side), different for each split."""
    return np.random.default_rng([side, *split.encode()]).integers(0, 256, (SIZES[split], side, side), np.uint8)


def load(dataset, path, split="train", **settings):
    return data.get_dataset(ConfigDict({"data": {"dataset": dataset, "path": str(path), **settings}}), split)


def test_the_names_of_images_and_labels(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)
    labels = np.array([2, 0, 1, 1, 0, 2])
    for images, numbers in (("images", "labels"), ("arr_0", "arr_1"), ("samples", "labels"), ("train_images", None)):
        path = tmp_path / f"{images}.npz"
        np.savez(path, **{images: colour} | ({numbers: labels} if numbers else {}))
        source = load("folder", path)
        np.testing.assert_array_equal(source.arrays()[0], colour)
        np.testing.assert_array_equal(source.arrays()[1], labels if numbers else np.zeros(6))
        assert (source.name, source.num_classes) == (images, 3 if numbers else 0)
        np.testing.assert_array_equal(np.concatenate([*iterate_images(path, 4)]), colour)


def test_splits_within_a_file_and_beside_it(tmp_path):
    np.savez(
        tmp_path / "own.npz",
        **{f"x_{split}": grey(split) for split in ("train", "test")},
        y_train=np.arange(12) % 4,
        y_test=np.zeros(7),
    )
    for split in ("train", "test"):
        np.savez(tmp_path / f"set-{split}.npz", images=grey(split), labels=np.arange(SIZES[split]) % 4)
    for path in ("own.npz", "set-train.npz"):
        test = load("folder", tmp_path / path, "test")
        np.testing.assert_array_equal(test.arrays()[0][..., 0], grey("test"))
        assert test.num_classes == 4
    with pytest.raises(data.NoSplit, match="has no val images; it has train, test"):
        load("folder", tmp_path / "own.npz", "val")


def test_a_file_of_test_images_alone(tmp_path):
    np.savez(tmp_path / "own.npz", test_images=grey("test"), test_labels=np.arange(7))
    assert load("folder", tmp_path / "own.npz", "test").num_classes == 7


def test_a_distance_may_be_to_an_npz(tmp_path):
    """Grey images without a channel axis; the moments are those of the pixels themselves."""
    np.savez(tmp_path / "own.npz", train_images=grey("train", 8))
    pixels = get_extractor("pixels")
    made = load_statistics(tmp_path / "own.npz", pixels)
    given = from_collected(
        collect(pixels, [grey("train", 8)[..., None]]), pixels, dataset="", split="", image_rule="", fingerprint=""
    )
    np.testing.assert_array_equal(made.mu, given.mu)
    assert made.n == 12


def test_every_data_set_has_its_line_in_the_docs():
    """The flags of each line are read as the command line reads them, and every name stands in the table."""
    rows = [row for row in (ROOT / "docs/data.md").read_text().splitlines() if row.startswith("|")]
    named = set(re.findall(r"`(?:--config.data.dataset=)?([a-z0-9_]+)[ `]", "".join(rows)))
    assert set(data.DATASETS) - {"points", "digits", "tfds", "svhn_cropped"} <= named
    for key, value in re.findall(r"--config\.(\S+?)=([^\s`]+)", "".join(rows)):
        overrides.apply(get_config(), {key: value})


def test_the_image_rule_applies(tmp_path):
    np.savez(tmp_path / "images.npz", images=grey("train"))
    made = load("folder", tmp_path / "images.npz", image_size=14, num_channels=3).arrays()[0]
    boxes = np.asarray(Image.fromarray(grey("train")[3]).resize((14, 14), Image.Resampling.BOX))
    np.testing.assert_array_equal(made[3], np.repeat(boxes[..., None], 3, -1))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": grey("train")}, "holds no images.*images, arr_0, samples.*it has x"),
        ({"images": grey("train") / 255}, r"images is float64 \(12, 28, 28, 1\); expected uint8"),
        ({"images": np.zeros((3, 3, 8, 8), np.uint8)}, r"images is uint8 \(3, 3, 8, 8\); expected"),
        ({"images": grey("train"), "labels": np.zeros(5)}, r"12 images, and labels of shape \(5,\)"),
        ({"images": grey("train"), "labels": np.zeros((12, 3))}, r"float64 \(12, 3\); expected a whole number"),
        ({"images": grey("train"), "labels": np.full(12, 0.5)}, "expected a whole number"),
    ],
)
def test_other_arrays_are_named(arrays, message, tmp_path):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load("folder", tmp_path / "own.npz")


def test_outliers_may_be_an_npz(tmp_path):
    np.savez(tmp_path / "own.npz", arr_0=grey("train"))
    config = get_config()
    config.ood.path = str(tmp_path / "own.npz")
    np.testing.assert_array_equal(open_outliers(config, (28, 28, 1)).arrays()[0][..., 0], grey("train"))
    with pytest.raises(ValueError, match="own are 28x28x1 and the network takes 32x32x3"):
        open_outliers(config, (32, 32, 3))


MEDICAL = {"octmnist": 4, "tissuemnist": 8, "pneumoniamnist": 2}


def write_medical(path, classes, side=28):
    """Splits of one file; labels (N, 1)."""
    labels = {f"{split}_labels": np.arange(n).reshape(-1, 1).astype(np.uint8) % classes for split, n in SIZES.items()}
    np.savez(path, **{f"{split}_images": grey(split, side) for split in SIZES}, **labels)


@pytest.mark.parametrize("name", MEDICAL)
@pytest.mark.parametrize("split", SIZES)
def test_images_and_labels_of_medmnist(name, split, tmp_path):
    write_medical(tmp_path / f"{name}.npz", MEDICAL[name])
    for path in (tmp_path, tmp_path / f"{name}.npz"):
        source = load(name, path, split)
        np.testing.assert_array_equal(source.arrays()[0][..., 0], grey(split))
        np.testing.assert_array_equal(source.arrays()[1], np.arange(SIZES[split]) % MEDICAL[name])
        assert (source.name, source.num_classes) == (name, MEDICAL[name])


def test_findings_become_one_class_each(tmp_path):
    """None, each of the 14 alone, and several: 16 classes, and every image has one."""
    findings = np.zeros((17, 14), np.uint8)
    findings[1:15] = np.eye(14)
    findings[15, [0, 13]] = 1
    findings[16] = 1
    images = np.zeros((17, 28, 28), np.uint8)
    np.savez(tmp_path / "chestmnist.npz", train_images=images, train_labels=findings)
    source = load("chestmnist", tmp_path)
    np.testing.assert_array_equal(source.arrays()[1], [*range(16), 15])
    assert (source.class_names[0], source.class_names[14], source.class_names[15], source.num_classes) == (
        "no finding",
        "hernia",
        "several findings",
        16,
    )
    np.savez(tmp_path / "chestmnist.npz", train_images=images, train_labels=findings[:, :3])
    with pytest.raises(ValueError, match=r"labels are \(17, 3\); expected 14 columns of 0 and 1"):
        load("chestmnist", tmp_path)


def test_the_file_of_the_size_that_is_asked_for_is_preferred(tmp_path):
    write_medical(tmp_path / "octmnist.npz", 4)
    write_medical(tmp_path / "octmnist_64.npz", 4, 64)
    source = load("octmnist", tmp_path, image_size=64, num_channels=1)
    np.testing.assert_array_equal(source.arrays()[0][..., 0], grey("train", 64))


def test_what_is_not_medmnist_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no octmnist.npz in .*\.medmnist: fetch it from .*data.path"):
        load("octmnist", "")
    write_medical(tmp_path / "octmnist.npz", 5)
    with pytest.raises(ValueError, match="not as octmnist is published: class 4 of 4"):
        load("octmnist", tmp_path)
    np.savez(tmp_path / "octmnist.npz", train_images=grey("train"))
    with pytest.raises(ValueError, match="not as octmnist is published: it has no labels"):
        load("octmnist", tmp_path)
