"""The FID Inception with synthetic weights against torch-fidelity, and where its weights come from."""

import hashlib
import json
import sys
import zlib

import numpy as np
import pytest

from evaluation import inception, inception_weights
from evaluation.features import get_extractor, parameter_hash
from evaluation.frechet import frechet_distance
from evaluation.moments import Moments
from tests.interop.conftest import TorchChain, TorchZip


def synthetic(key, shape, rng):
    noise = rng.standard_normal(shape)
    if key.endswith(".conv.weight"):
        noise *= np.sqrt(2.5 / np.prod(shape[1:]))
    elif key == "fc.weight":
        noise *= np.sqrt(9 / 2048)
    elif key.endswith(".running_var"):
        noise = 1 + 0.1 * np.abs(noise)
    elif key.endswith(".bn.weight"):
        noise = 1 + 0.1 * noise
    else:
        noise *= 0.1
    return noise.astype(np.float32)


@pytest.fixture(scope="module")
def state(golden):
    shapes = json.loads(golden.path("torch/inception_shapes.json").read_text())
    rng = np.random.default_rng(1234)
    return {key: synthetic(key, shapes[key], rng) for key in sorted(shapes)}


@pytest.fixture(scope="module")
def params(state):
    return inception.parameters(state)


def test_synthetic_weights_are_the_golden_ones(golden, state):
    check = json.loads(golden.path("torch/inception_weight_check.json").read_text())
    for key, (total, squares) in check.items():
        value = state[key].astype(np.float64)
        np.testing.assert_allclose([value.sum(), (value**2).sum()], [total, squares], rtol=1e-9, atol=1e-6)


def test_every_tap_golden(golden, params):
    case = golden("torch/fid_features.npz")
    images = case["images"].transpose(0, 2, 3, 1)
    found = inception.activations(params, images, inception.TAPS, batch_size=16)
    for tap in inception.TAPS:
        expected = case[tap] if tap in case else case[f"feat_{tap}"]
        tolerance = 5e-5 * np.abs(expected).max()
        np.testing.assert_allclose(found[tap], expected, rtol=0, atol=tolerance, err_msg=tap)


def test_resize_golden(golden):
    case = golden("torch/fid_features.npz")
    images = case["images"][:2].transpose(0, 2, 3, 1).astype(np.float32)
    resized = np.asarray(inception.resize(images)).transpose(0, 3, 1, 2)[:, :, ::13, ::17]
    np.testing.assert_allclose(resized, case["resized_first2_sub"], atol=1e-3)


def test_resize_keeps_299_and_handles_non_square():
    image = np.random.default_rng(0).uniform(0, 255, (1, 299, 299, 1)).astype(np.float32)
    np.testing.assert_array_equal(inception.resize(image), image)
    ramp = np.broadcast_to(np.arange(600, dtype=np.float32)[None, None, :, None], (1, 20, 600, 1))
    expected = np.arange(299) * (600 / 299)  # interpolation of a linear ramp is exact
    np.testing.assert_allclose(np.asarray(inception.resize(ramp))[0, 7, :, 0], expected, rtol=1e-5, atol=1e-4)


def image_set_a():
    rng = np.random.default_rng(20240)
    low, detail = rng.integers(0, 256, (512, 3, 4, 4)), rng.integers(-32, 33, (512, 3, 32, 32))
    return np.clip(low.repeat(8, axis=2).repeat(8, axis=3) + detail, 0, 255).astype(np.uint8)


def test_fid_of_a_whole_set_golden(golden, params):
    """Images -> features -> streaming moments -> distance, on the 64 early features of 512 images.

    The other set enters by its golden moments, which halves the time.
    """
    case = golden("torch/fid_sets_64.npz")
    images = image_set_a()
    assert zlib.crc32(images.tobytes()) == case["crc32_A"]
    moments = Moments()
    for part in np.split(images.transpose(0, 2, 3, 1), 4):
        moments.update(inception.features(params, part, tap="64", batch_size=16))
    _, mu, sigma = moments.finalize()
    np.testing.assert_allclose(mu, case["mu_64_A"], rtol=1e-5)
    expected = case["sigma_64_A"]
    np.testing.assert_allclose(sigma, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    distance = frechet_distance(mu, sigma, case["mu_64_B"], case["sigma_64_B"])
    np.testing.assert_allclose(distance, case["fid_64"], rtol=1e-3)


def test_grey_is_repeated_and_padding_has_no_effect(params):
    grey = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    alone = inception.features(params, grey, tap="64", batch_size=4)
    together = inception.features(params, grey.repeat(3, axis=3), tap="64", batch_size=2)
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-5)


def test_bad_images_and_taps_are_refused(params):
    with pytest.raises(ValueError, match="1 or 3"):
        inception.features(params, np.zeros((1, 8, 8, 4), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        inception.features(params, np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="tap='2049' is unknown"):
        inception.features(params, np.zeros((1, 8, 8, 3), np.uint8), tap="2049")


def test_npz_weights_through_path_and_environment(state, tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    np.savez(path, **state, **{"Conv2d_1a_3x3.bn.num_batches_tracked": np.int64(3)})
    monkeypatch.setenv("LINNET_INCEPTION", str(path))
    assert inception_weights.find_weights() == path
    loaded = inception_weights.read_state_dict(path)
    assert get_extractor("inception", path).hash == parameter_hash(loaded) == parameter_hash(state)
    changed = state | {"fc.bias": state["fc.bias"] + np.float32(1e-3)}
    assert parameter_hash(changed) != parameter_hash(state)
    monkeypatch.setenv("LINNET_INCEPTION", str(tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match="LINNET_INCEPTION"):
        inception_weights.find_weights()


def test_wrong_weights_are_named(state):
    lacking = {key: value for key, value in state.items() if key != "Mixed_6a.branch3x3.bn.bias"}
    with pytest.raises(ValueError, match=r"lack 'Mixed_6a\.branch3x3\.bn\.bias'"):
        inception.parameters(lacking)
    with pytest.raises(ValueError, match=r"1 Inception tensors do not fit, first fc\.kernel: \(2048, 1000\)"):
        inception.parameters(state | {"fc.weight": state["fc.weight"][:1000]})


@pytest.mark.parametrize("kind", [TorchZip, TorchChain])
def test_pth_needs_no_torch(kind, monkeypatch, tmp_path):
    """Both formats of torch.save; the hash is checked before anything is parsed."""
    monkeypatch.setitem(sys.modules, "torch", None)
    bias, file = np.arange(1008.0, dtype=np.float32), kind()
    path = file.write(tmp_path / "weights.pth", {"fc.bias": file.tensor(bias)})
    with pytest.raises(RuntimeError, match="damaged, cut short or another file"):
        inception_weights.find_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(inception_weights, "FILE", inception_weights.FILE._replace(sha256=digest))
    found = inception_weights.read_state_dict(inception_weights.find_weights(path))
    np.testing.assert_array_equal(found.pop("fc.bias"), bias)
    assert not found
    path.write_bytes(b"weights")
    with pytest.raises(ValueError, match="weights.pth: no file of torch.save"):
        inception_weights.read_state_dict(path)


def test_offline_error_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.delenv("LINNET_INCEPTION", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = inception_weights.FILE._replace(folder=(tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(inception_weights, "FILE", nowhere)
    with pytest.raises(RuntimeError, match="place the file at .*pt_inception-2015-12-05-6726825d.pth"):
        inception_weights.find_weights()
