"""Extractors by name, the shipped digits classifier, and collecting features in batches."""

import ml_collections
import numpy as np
import pytest

from data import get_dataset, pipeline
from evaluation import classifier
from evaluation.collect import collect
from evaluation.features import EXTRACTORS, get_extractor
from evaluation.train_classifier import Labelled, accuracy, load_digits
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(scope="module")
def extractor():
    return get_extractor("digits")


def test_classifier_recognises_held_out_digits(digits):
    params, metadata = classifier.load(classifier.DIGITS.asset)
    held_out = metadata["held_out"]
    found = accuracy(classifier.DIGITS, params, Labelled(*(values[held_out] for values in digits)))
    assert len(held_out) + metadata["n_training"] == len(digits.images)
    assert found > 0.98
    assert found == pytest.approx(float(metadata["held_out_accuracy"]), abs=1 / len(held_out))
    assert classifier.DIGITS.asset.stat().st_size < 300_000


def test_classifier_recognises_held_out_mnist():
    """99.3 % of the 10,000 test images, of which it saw none; a thousand of them here."""
    archive = ROOT.parent / "shared" / "data" / "mnist-test.zip"
    if not archive.exists():
        pytest.skip("needs the test images of MNIST")
    data = {"dataset": "folder", "path": str(archive), "image_size": 28, "num_channels": 1, "crop": 0}
    config = ml_collections.ConfigDict({"data": data})
    params, metadata = classifier.load(classifier.MNIST.asset)
    assert metadata["held_out_accuracy"] >= 0.993 and metadata["n_training"] == 60_000
    batch = next(iter(pipeline.one_pass(get_dataset(config, "train"), 1000)))
    found = accuracy(classifier.MNIST, params, Labelled(batch["image"], batch["label"]))
    assert abs(found - metadata["held_out_accuracy"]) < 0.01  # four standard deviations of a thousand draws
    assert classifier.MNIST.asset.stat().st_size < 400_000


def test_logits_are_a_linear_function_of_the_features(digits, extractor):
    outputs = extractor(digits[0][:300])
    params, _ = classifier.load(classifier.DIGITS.asset)
    expected = outputs["features"] @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-4, atol=1e-4)


def test_grey_and_rgb_agree_and_batching_has_no_effect(digits, extractor):
    images = digits[0][:10]
    alone = np.concatenate([extractor(image[None])["features"] for image in images])
    np.testing.assert_allclose(extractor(images.repeat(3, axis=3))["features"], alone, rtol=1e-4, atol=1e-4)


def test_refusals(extractor):
    with pytest.raises(ValueError, match="8, 8, 1 or 3.*'inception'"):
        extractor(np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="round samples to uint8 first"):
        extractor(np.zeros((2, 8, 8, 1), np.float32))
    with pytest.raises(ValueError, match=r"config.eval.extractor='incepton' is unknown \(did you mean inception\?\)"):
        get_extractor("incepton")
    with pytest.raises(ValueError, match="choose from " + ", ".join(EXTRACTORS)):
        get_extractor("clip")


def test_pixels_are_the_image():
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 1)).astype(np.uint8)
    features = get_extractor("pixels")(images)["features"]
    np.testing.assert_allclose(features * 255, images.reshape(4, 6), rtol=1e-6)


def test_collect_keeps_the_same_choice_whatever_the_batches():
    images = np.random.default_rng(1).integers(0, 256, (200, 2, 2, 1)).astype(np.uint8)
    pixels = get_extractor("pixels")
    whole = collect(pixels, [images], keep=30)
    parts = collect(pixels, np.split(images, [7, 90, 91, 150]), keep=30)
    np.testing.assert_array_equal(whole.features, parts.features)
    np.testing.assert_allclose(whole.gaussian.sigma, parts.gaussian.sigma, atol=1e-14)
    assert len(np.unique(whole.features, axis=0)) == 30
    everything = collect(pixels, [images])
    np.testing.assert_array_equal(everything.features, pixels(images)["features"])
    assert everything.logits is None
