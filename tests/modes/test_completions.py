"""--mode=inpaint, colorize, super_resolution with exact networks: what is known stays, the rest has its law."""

import json

import numpy as np
import pytest
from PIL import Image

from engine import masks
from linnet.randomness import Purpose, key_for
from modes import colorize, inpaint, super_resolution
from tests.modes.exact import CLASS_MEANS, by_class, digits_config, drawn_images, exact_experiment

SPREAD = 0.02


def grey(condition):
    """The same mean for all images."""
    return np.full((1, 1, 1, 1), 0.1, np.float32)


def config(mode, sampling=(), num_classes=0, **settings):
    c = digits_config(model={"num_classes": num_classes, "sigma_data": SPREAD**0.5})
    c.sampling.update({"method": "gddim", "nfe": 12} | dict(sampling))
    c.eval.batch_size = 16
    c[mode].update(settings)
    return c


def completed(run, c, folder, mode, mean=grey):
    """(arrays, report) of a mode."""
    run(exact_experiment(c, folder, mean=mean, spread=SPREAD))
    with np.load(folder / "completions.npz") as arrays:
        return dict(arrays), json.loads((folder / f"{mode}.json").read_text())


def pictures(folder, arrays, mode="RGB"):
    """{name: uint8 array} as PNG files."""
    folder.mkdir()
    for name, array in arrays.items():
        Image.fromarray(array).convert(mode).save(folder / f"{name}.png")
    return str(folder)


METHODS = [
    ({"method": "pigdm"}, {}),
    ({"method": "mmps", "iterations": 2}, {}),
    ({"method": "null_space"}, {}),
    ({"method": "replacement", "resamples": 2}, {"method": "sdeis", "deis_order": 0, "nfe": 30}),
    ({"method": "replacement"}, {"method": "pc", "nfe": 1600, "corrector": "ald", "snr": 0.05, "grid": "power"}),
    ({"method": "pigdm"}, {"method": "ddpm", "nfe": 60, "clip_denoised": False}),
]


@pytest.mark.parametrize(("settings", "sampling"), METHODS, ids=lambda keys: keys.get("method"))
def test_seen_pixels_are_kept_and_hidden_ones_have_the_law_of_their_class(settings, sampling, tmp_path):
    """8 images, 4 completions, 32 hidden pixels: 1024 numbers; four standard errors, and 10 % for few steps."""
    c = config("inpaint", sampling, num_classes=10, **settings)
    arrays, report = completed(inpaint.run, c, tmp_path, "inpaint", mean=by_class)
    images, labels = drawn_images(c, 8)
    truth = np.rint((images + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(arrays["images"], truth)
    assert (arrays["completions"][:, :, :, :4] == truth[:, None, :, :4]).all() and report["deviation"] == 0
    hidden = arrays["completions"][:, :, :, 4:] / 127.5 - 1 - CLASS_MEANS[labels].reshape(-1, 1, 1, 1, 1)
    inner = np.abs(CLASS_MEANS[labels]) < 0.5  # where nothing is clipped
    n = hidden[inner].size
    assert abs(hidden[inner].mean()) < 4 * np.sqrt(SPREAD / n) + 0.01
    assert abs(hidden[inner].var() / SPREAD - 1) < 4 * np.sqrt(2 / n) + 0.1
    assert len(np.unique(arrays["completions"][0], axis=0)) == 4


def test_the_report_is_that_of_the_pictures(tmp_path):
    arrays, report = completed(inpaint.run, config("inpaint", completions=3), tmp_path, "inpaint")
    error = (arrays["completions"].astype(float) - arrays["images"][:, None]) ** 2
    wanted = 10 * np.log10(255**2 / error.mean((2, 3, 4)))
    np.testing.assert_allclose(report["of_each"]["psnr"], wanted, atol=1e-3)
    assert report["psnr"] == pytest.approx(wanted.mean(), abs=1e-3)
    assert report["psnr_hidden"] == pytest.approx((wanted - 10 * np.log10(2)).mean(), abs=1e-3)  # half of the pixels
    with Image.open(tmp_path / "inpaint.png") as picture:
        assert picture.width == 5 * 9 * 8 - 8  # truth, seen, three completions


def test_completions_do_not_depend_on_the_batch(tmp_path):
    found = []
    for size in (16, 6):
        c = config("inpaint", mask="random")
        c.eval.batch_size = size
        found.append(completed(inpaint.run, c, tmp_path, "inpaint")[0]["completions"].astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1  # sums in another order


@pytest.mark.parametrize("kind", ["box", "random"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_drawn_masks_cover_exactly_what_they_should(kind, share):
    keys = key_for(3, Purpose.MASKS, np.arange(5))
    seen = masks.MASKS[kind]((8, 12), share, keys)
    sides = round(share**0.5 * 8) * round(share**0.5 * 12)
    assert (~seen).reshape(5, -1).sum(1).tolist() == [sides if kind == "box" else round(share * 96)] * 5
    assert len(np.unique(seen, axis=0)) == (1 if kind == "box" else 5)


def test_masks_of_files_belong_to_the_images_of_their_name(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (8, 8), np.uint8) for name in ("a", "b", "c")}
    hides = {name: np.where(rng.random((8, 8)) < 0.4, 255, 0).astype(np.uint8) for name in ("c", "a", "b")}
    c = config(
        "inpaint",
        images=pictures(tmp_path / "images", images, "L"),
        masks=pictures(tmp_path / "masks", hides, "L"),
    )
    arrays, _ = completed(inpaint.run, c, tmp_path, "inpaint")
    for i, name in enumerate(sorted(images)):
        seen = hides[name] == 0
        found = arrays["completions"][i, ..., 0]
        assert (found[:, seen] == images[name][seen]).all()
        assert (found[:, ~seen] != images[name][~seen]).mean() > 0.9


BLACK = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (
            {"m": np.full((8, 9), 255, np.uint8)},
            "the mask m.png has 8 x 9 pixels, and .* have 8 x 8",
        ),
        ({"m": BLACK}, "the mask m.png hides nothing"),
        ({"a": ~BLACK, "x": ~BLACK}, "has 2 masks and none for the image b"),
    ],
)
def test_masks_that_do_not_fit_are_refused_by_name(drawn, message, tmp_path):
    images = pictures(tmp_path / "images", {"a": BLACK, "b": BLACK}, "L")
    c = config("inpaint", images=images, masks=pictures(tmp_path / "masks", drawn, "L"))
    with pytest.raises(ValueError, match=message):
        inpaint.run(exact_experiment(c, tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.3}, "config.inpaint.share means nothing to config.inpaint.mask=half"),
        ({"masks": "m", "mask": "box"}, "mask and share mean nothing beside config.inpaint.masks"),
        ({"iterations": 2}, "config.inpaint.iterations means nothing to method=pigdm"),
        ({"resamples": 2}, "config.inpaint.resamples means nothing to method=pigdm"),
        ({"lpips_path": "w"}, "lpips_path means nothing without"),
        ({"method": "replacement"}, "needs a sampler whose steps see one evaluation"),
        ({"lpips": True, "lpips_path": "nowhere"}, "nowhere"),
        ({"images": "nowhere"}, "nowhere"),
    ],
)
def test_what_does_not_go_together_is_said_before_the_work(settings, message, tmp_path):
    with pytest.raises((ValueError, OSError, RuntimeError), match=message):
        inpaint.run(exact_experiment(config("inpaint", **settings), tmp_path))
    assert not list(tmp_path.glob("inpaint*"))


def test_images_of_a_folder_have_no_class_of_their_own(tmp_path):
    c = config("inpaint", num_classes=10, images=pictures(tmp_path / "images", {"a": BLACK}, "L"))
    with pytest.raises(ValueError, match="name them by config.sampling.labels"):
        inpaint.run(exact_experiment(c, tmp_path))


def block_means(images, factor=2):
    *first, height, width, channels = images.shape
    cut = images.reshape(*first, height // factor, factor, width // factor, factor, channels)
    return cut.astype(float).mean((-4, -2))


def test_enlarged_images_have_the_means_of_the_blocks(tmp_path):
    """Each pixel is rounded, by half a level at most."""
    arrays, report = completed(super_resolution.run, config("super_resolution"), tmp_path, "super_resolution")
    inside = (arrays["completions"] > 0).all((2, 3, 4)) & (arrays["completions"] < 255).all((2, 3, 4))
    gap = np.abs(block_means(arrays["completions"]) - block_means(arrays["images"])[:, None])
    assert gap.max() == pytest.approx(report["deviation"], abs=1e-3)
    assert not inside.any() or gap[inside].max() <= 0.5


def test_small_pictures_are_enlarged(tmp_path):
    small = np.random.default_rng(0).integers(80, 170, (4, 4), np.uint8)
    c = config("super_resolution", images=pictures(tmp_path / "images", {"a": small}, "L"))
    arrays, report = completed(super_resolution.run, c, tmp_path, "super_resolution")
    assert np.abs(block_means(arrays["completions"][0])[..., 0] - small).max() <= max(0.5, report["deviation"])
    assert "psnr" not in report


def test_a_factor_divides_the_size(tmp_path):
    with pytest.raises(ValueError, match="factor=3 must divide the sides of the images, 8 x 8"):
        super_resolution.run(exact_experiment(config("super_resolution", factor=3), tmp_path))


@pytest.mark.parametrize("coloured", [True, False])
def test_colours_keep_the_grey_that_was_given(coloured, tmp_path):
    """Of grey pictures no truth is known."""
    images = np.random.default_rng(0).integers(90, 160, (2, 8, 8, 3), np.uint8)
    images = images if coloured else images[..., :1].repeat(3, axis=-1)
    c = config("colorize", images=pictures(tmp_path / "images", {"a": images[0], "b": images[1]}))
    c.data.num_channels = 3
    arrays, report = completed(colorize.run, c, tmp_path, "colorize")
    np.testing.assert_array_equal(arrays["images"], images)
    found = arrays["completions"].mean(-1)
    assert np.abs(found - images.mean(-1)[:, None]).max() <= max(0.5, report["deviation"] + 1e-3)
    assert arrays["completions"].std(-1).mean() > 5  # colours, not greys
    assert ("psnr" in report) == coloured


def test_a_grey_network_has_no_colours(tmp_path):
    with pytest.raises(ValueError, match="needs a network of colour images .* this one has 1"):
        colorize.run(exact_experiment(config("colorize"), tmp_path))
