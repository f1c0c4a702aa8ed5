"""Encoding and interpolation with exact networks: latents are known, and images come back from them."""

import json

import numpy as np
import pytest

from modes import encode, interpolate
from samplers import interpolation
from sde_lib import SDES, get_sde
from tests.modes.exact import CLASS_MEANS, by_low_res, digits_config, drawn_images, exact_experiment
from training.conditions import block_means

SPREAD = 0.1


def config(**model):
    return digits_config(model=model, eval={"flow_tolerance": 1e-5, "num_images": 0})


def to_latent(sde, x, mean):
    """The flow of N(mean, SPREAD) keeps every number at its quantile."""
    psi = sde.Psi(1.0, 0.0).item()
    return psi * mean + (x - mean) * np.sqrt((psi**2 * SPREAD + 1 - psi**2) / SPREAD)


def means_of(labels):
    return CLASS_MEANS[labels].astype(float)[:, None, None, None]


def test_images_of_classes_go_to_their_latents_and_back(tmp_path):
    """A hundred steps of the tolerance, on numbers up to 10."""
    c = config(num_classes=10)
    encode.run(exact_experiment(c, tmp_path))
    images, labels = drawn_images(c, encode.N)
    saved, report = np.load(tmp_path / "latents.npz"), json.loads((tmp_path / "encode.json").read_text())
    wanted = to_latent(get_sde(c), images, means_of(labels))
    np.testing.assert_allclose(saved["u_T"], wanted, atol=1e-2)
    np.testing.assert_array_equal(saved["images"], np.rint((images + 1) * 127.5))
    assert report["rms_error"] < 1e-3 and report["changed_pixels"] < 0.01
    assert report["latent_std"][0] == pytest.approx(np.sqrt((wanted**2).mean()), abs=1e-3)


def test_as_many_images_are_encoded_as_are_asked_for(tmp_path):
    """In batches of 8; the latents of an image are its own."""
    c = config(num_classes=10)
    c.eval.num_images = 11
    encode.run(exact_experiment(c, tmp_path))
    images, labels = drawn_images(c, 11)
    wanted = to_latent(get_sde(c), images, means_of(labels))
    np.testing.assert_allclose(np.load(tmp_path / "latents.npz")["u_T"], wanted, atol=1e-2)
    assert json.loads((tmp_path / "encode.json").read_text())["n"] == 11


def test_networks_of_low_resolution_images_are_told_those_of_the_image(tmp_path):
    c = config(super_resolution=True)
    c.data.low_res_size = 4
    encode.run(exact_experiment(c, tmp_path, mean=by_low_res))
    images, _ = drawn_images(c, encode.N)
    mean = block_means(images, 4).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(np.load(tmp_path / "latents.npz")["u_T"], to_latent(get_sde(c), images, mean), atol=1e-2)


def test_interpolation_ends_at_the_latents():
    sde = SDES["cld"]()
    u_T = np.random.default_rng(0).standard_normal((6, 4, 4, 2)).astype(np.float32)
    path = interpolation.interpolate(u_T, sde, interpolate.STEPS)
    assert path.shape[:2] == (3, interpolate.STEPS)
    np.testing.assert_allclose(path[:, 0], u_T[::2], atol=1e-5)
    np.testing.assert_allclose(path[:, -1], u_T[1::2], atol=1e-5)


def test_rows_begin_at_their_image_and_end_at_the_other_as_the_first_class_has_it(tmp_path, monkeypatch):
    """The other latent read by the flow of the first image's class: x = m + (u_T - psi m) / c."""
    shown = {}
    monkeypatch.setattr(interpolate, "save_picture", lambda images, path, columns: shown.update(images=images))
    c = config(num_classes=10)
    interpolate.run(exact_experiment(c, tmp_path))
    rows = shown["images"].reshape(interpolate.PAIRS, interpolate.STEPS, 8, 8, 1).astype(int)
    images, labels = drawn_images(c, 2 * interpolate.PAIRS)
    half = interpolate.PAIRS
    sde, first, second = get_sde(c), means_of(labels[:half]), means_of(labels[half:])
    origin, slope = to_latent(sde, 0.0, first), to_latent(sde, 1.0, first) - to_latent(sde, 0.0, first)
    end = (to_latent(sde, images[half:], second) - origin) / slope
    for column, wanted in ((0, images[:half]), (-1, end)):
        grey = np.rint((np.clip(wanted, -1, 1) + 1) * 127.5)
        assert np.abs(rows[:, column] - grey).max() <= 1


def test_the_steps_of_ddim_encode_as_well(tmp_path):
    """To first order in the steps: twice as many halve the error."""
    errors = []
    for nfe in (100, 200):
        c = config(num_classes=10)
        c.sampling.update(method="ddim", nfe=nfe, clip_denoised=False)
        encode.run(exact_experiment(c, tmp_path))
        report = json.loads((tmp_path / "encode.json").read_text())
        assert report["nfe_encode"] == report["nfe_decode"] == nfe
        errors.append(report["rms_error"])
    assert errors[1] < 0.05 and 1.6 < errors[0] / errors[1] < 2.4


def test_ddim_with_noise_does_not_encode(tmp_path):
    c = config()
    c.sampling.update(method="ddim", nfe=10, eta=0.5)
    with pytest.raises(ValueError, match="needs config.sampling.eta=0"):
        encode.run(exact_experiment(c, tmp_path))
