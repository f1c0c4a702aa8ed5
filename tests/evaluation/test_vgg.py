"""FD-VGG: the features against the float64 re-statement of the network, its treatment of images, the real weights."""

import os
from pathlib import Path

import ml_collections
import numpy as np
import pytest
from PIL import Image

from data import get_dataset
from evaluation.collect import collect
from evaluation.features import get_extractor
from evaluation.report import compute_metrics
from evaluation.statistics import Statistics, check_compatible
from tests.conftest import ROOT
from tests.models.test_lpips import NARROW, make_state, reference_taps

WEIGHTS = Path(os.environ.get("LINNET_LPIPS", ROOT.parent / "shared" / "weights" / "lpips"))


def weights(folder, seed=0):
    """A folder of narrow random weights under the published names."""
    state = make_state("vgg", seed=seed)
    heads = {name for name in state if name.startswith("lin")}
    np.savez(folder / "vgg.npz", **{name: state[name] for name in heads})
    np.savez(folder / "vgg16-397923af.npz", **{name: state[name] for name in state.keys() - heads})
    return folder


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return get_extractor("vgg", weights(tmp_path_factory.mktemp("vgg")))


def pictures(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_features_are_the_means_of_the_last_tap(extractor):
    images = pictures((3, 70, 66, 3))
    expected = reference_taps(make_state("vgg"), images / 127.5 - 1, "vgg")[-1].mean(axis=(2, 3))
    assert expected.shape == (3, NARROW[-1])
    np.testing.assert_allclose(extractor(images)["features"], expected, rtol=1e-5, atol=1e-6 * expected.max())


@pytest.mark.parametrize("size", [(28, 28), (48, 32)])
def test_small_images_are_enlarged_in_proportion(extractor, size):
    """Pillow's bilinear filter enlarges by the same rule (half-pixel centres), each channel in float32."""
    images = pictures((2, *size, 3), seed=1)
    height, width = (side * 64 // min(size) for side in size)
    large = np.stack(
        [
            np.stack([np.asarray(Image.fromarray(c, "F").resize((width, height), Image.BILINEAR)) for c in x], axis=-1)
            for x in images.astype(np.float32).transpose(0, 3, 1, 2)
        ]
    )
    expected = reference_taps(make_state("vgg"), large / 127.5 - 1, "vgg")[-1].mean(axis=(2, 3))
    np.testing.assert_allclose(extractor(images)["features"], expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_grey_is_repeated_and_the_distance_is_named_after_the_network(extractor, tmp_path):
    grey = pictures((40, 64, 64, 1), seed=2)
    np.testing.assert_array_equal(extractor(grey)["features"], extractor(grey.repeat(3, axis=3))["features"])
    samples = collect(extractor, [grey])
    own = Statistics(mu=samples.gaussian.mu, sigma=samples.gaussian.sigma, extractor_hash=extractor.hash)
    metrics = compute_metrics(samples, own, extractor)
    assert list(metrics) == ["fd_vgg_n40"] and metrics["fd_vgg_n40"] == pytest.approx(0, abs=1e-6)
    other = get_extractor("vgg", weights(tmp_path, seed=1))
    with pytest.raises(ValueError, match="not by 'vgg'"):
        check_compatible(own, other)


def test_real_weights_see_that_images_are_coarse():
    """Test images of CIFAR-10 are nearer to its training images than the same at a quarter of the resolution."""
    data = ROOT.parent / "shared" / "data"
    if not (WEIGHTS.is_dir() and data.is_dir()):
        pytest.skip("needs the weights of VGG16 ($LINNET_LPIPS) and CIFAR-10")
    extractor = get_extractor("vgg", WEIGHTS)
    train, test = (sample_of(data / f"cifar10-{split}.zip", 48) for split in ("train", "test"))
    coarse = test.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    reference = collect(extractor, [train])
    statistics = Statistics(mu=reference.gaussian.mu, sigma=reference.gaussian.sigma, extractor_hash=extractor.hash)
    real, blurred = (
        compute_metrics(collect(extractor, [x]), statistics, extractor)["fd_vgg_n48"] for x in (test, coarse)
    )
    assert blurred > real


def sample_of(path, n):
    """The first n images of a zip."""
    data = {"dataset": "folder", "path": str(path), "image_size": 32, "num_channels": 3, "crop": 0}
    source = get_dataset(ml_collections.ConfigDict({"data": data}), "train")
    return np.stack([source[i]["image"] for i in range(n)])
