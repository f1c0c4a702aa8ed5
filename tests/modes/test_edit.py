"""--mode=edit with exact networks: how much of an image is left at each strength, and what a class makes of it."""

import json

import numpy as np
import pytest

from engine.editing import noised_to
from modes import edit
from sde_lib import get_sde
from tests.modes.exact import CLASS_MEANS, digits_config, drawn_images, exact_experiment

SPREAD = 0.1


def config(sampling=(), **settings):
    c = digits_config(model={"num_classes": 10}, eval={"flow_tolerance": 1e-5, "num_images": 8})
    c.sampling.update({"method": "gddim", "nfe": 40} | dict(sampling))
    c.edit.update(settings)
    return c


def means_of(labels):
    return CLASS_MEANS[labels].astype(float)[:, None, None, None]


def edited(c, folder):
    edit.run(exact_experiment(c, folder, spread=SPREAD))
    with np.load(folder / "edited.npz") as arrays:
        return dict(arrays), json.loads((folder / "edit.json").read_text())


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_what_is_left_of_an_image_is_what_the_noise_leaves(share, tmp_path):
    """The flow of N(m, v) keeps quantiles: x' = m + g (psi (x - m) + sigma eps), g = sqrt(v / (psi^2 v + sigma^2)). Of
    512 pixels: four standard errors, beside the steps."""
    c = config()
    x, labels = drawn_images(c, 8)
    rows = {"image": np.rint((x + 1) * 127.5).astype(np.uint8), "label": labels, "index": np.arange(8)}
    found, nfe = noised_to(exact_experiment(c, tmp_path, spread=SPREAD), rows, share)
    sde = get_sde(c)
    psi, variance = sde.Psi(share, 0.0).item(), sde.Sigma(share).item()
    g = np.sqrt(SPREAD / (psi**2 * SPREAD + variance))
    mean = means_of(labels)
    rest = found - (mean + g * psi * (x - mean))
    assert nfe == 40
    assert abs(rest.mean()) < 4 * g * np.sqrt(variance / 512) + 0.01
    assert abs(rest.var() / (g**2 * variance) - 1) < 4 * np.sqrt(2 / 512) + 0.05


def test_more_noise_leaves_less(tmp_path):
    _, report = edited(config(), tmp_path)
    near = list(report["psnr_to_original"].values())
    assert list(report["psnr_to_original"]) == ["0.2", "0.4", "0.6", "0.8"] and near == sorted(near, reverse=True)


def test_another_class_moves_each_number_to_its_quantile_there(tmp_path):
    c = config({"labels": "2,7"}, method="flow")
    arrays, report = edited(c, tmp_path)
    x, labels = drawn_images(c, 8)
    psi = get_sde(c).Psi(1.0, 0.0).item()
    g = np.sqrt(SPREAD / (psi**2 * SPREAD + 1 - psi**2))
    for number in (2, 7):
        wanted = x + (1 - psi * g) * (CLASS_MEANS[number] - means_of(labels))
        grey = np.rint((np.clip(wanted, -1, 1) + 1) * 127.5)
        assert np.abs(arrays[str(number)] - grey).max() <= 1
    assert report["psnr_to_original"]["own"] > 45


@pytest.mark.parametrize(
    ("settings", "sampling", "classes", "message"),
    [
        ({"method": "flow"}, {}, 0, "needs a network of classes"),
        ({"method": "flow", "strength": (0.5,)}, {}, 10, "strength means nothing"),
        ({"method": "flow"}, {"guidance": 2.0}, 10, "guidance means nothing"),
        ({}, {"labels": "3"}, 0, "labels needs a class-conditional network"),
        ({"strength": (1e-5,)}, {}, 10, "can end between"),
    ],
)
def test_what_means_nothing_is_refused(settings, sampling, classes, message, tmp_path):
    c = config(sampling, **settings)
    c.model.num_classes = classes
    with pytest.raises(ValueError, match=message):
        edited(c, tmp_path)
