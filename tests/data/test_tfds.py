"""TFDS without TensorFlow: mocked CIFAR-10, ArrayRecord files written and read here, and unknown names."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

import data


def load(name, split="train", **settings):
    return data.get_dataset(ConfigDict({"data": {"dataset": name, **settings}}), split)


@pytest.fixture(scope="module")
def tensorflow_datasets():
    return pytest.importorskip("tensorflow_datasets")


@pytest.mark.parametrize("name", ["cifar10", "CIFAR10", "tfds/cifar10"])
def test_mocked_cifar10_by_any_spelling(name, tensorflow_datasets):
    with tensorflow_datasets.testing.mock_data(num_examples=5):
        source = load(name)
        examples = tensorflow_datasets.data_source("cifar10", split="train")
        images, labels = source.arrays()
        np.testing.assert_array_equal(images, np.stack([example["image"] for example in examples]))
        np.testing.assert_array_equal(labels, [example["label"] for example in examples])
    assert (len(source), source.shape, source.num_classes) == (5, (32, 32, 3), 10)
    assert "tensorflow" not in sys.modules


def test_the_image_rule_applies(tensorflow_datasets):
    with tensorflow_datasets.testing.mock_data(num_examples=2):
        whole = load("cifar10").arrays()[0]
        source = load("cifar10", image_size=12, crop=12)
        np.testing.assert_array_equal(source.arrays()[0], whole[:, 10:22, 10:22])
        assert load("mnist", image_size=(32, 16)).shape == (32, 16, 1)
        assert load("celeb_a", image_size=8, crop=140).num_classes == 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tensorflow_datasets):
    """The folder of the ArrayRecord files of tiny_images, a builder in a package beside this file."""
    sys.path.insert(0, str(Path(__file__).parent))
    __import__("tiny_images.tiny_images_dataset_builder")
    sys.path.pop(0)
    return str(tmp_path_factory.mktemp("tfds"))


def test_array_records_are_written_and_read(prepared):
    source = load("tiny_images", path=prepared)
    images, labels = source.arrays()
    assert (images.shape, source.num_classes) == ((10, 6, 8, 3), 3)
    order = np.argsort(images[:, 0, 0, 0])
    values = np.arange(0, 100, 10)[:, None, None, None]
    np.testing.assert_array_equal(images[order], np.broadcast_to(values, images.shape))
    np.testing.assert_array_equal(labels[order], np.arange(10) % 3)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[4]["image"], images[4])
    held_out = load("tiny_images", "test", path=prepared)
    assert sorted(held_out.arrays()[0][:, 0, 0, 0].tolist()) == [100, 110, 120, 130]
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifr10", "did you mean cifar10"),
        ("digit", "did you mean digits"),
        ("tfds", "such as cifar10"),
        ("lsun/bedrom", "lsun has no 'bedrom' .did you mean bedroom"),
    ],
)
def test_unknown_names_suggest_the_nearest(name, message, tensorflow_datasets):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="'digit' .did you mean digits.* pip install tensorflow-datasets"):
        load("digit")


def test_a_failure_to_prepare_says_what_to_do(tensorflow_datasets, tmp_path, monkeypatch):
    def fail(self):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(tensorflow_datasets.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(RuntimeError, match="tfds build cifar10 --file_format=array_record"):
        load("tfds/cifar10", path=str(tmp_path))
