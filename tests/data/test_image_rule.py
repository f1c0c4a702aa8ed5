"""The image rule against a NumPy resampler written from the definition of the filters."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from data.image_rule import ImageRule, rule_for


def cubic(x, a=-0.5):
    """Keys' cubic convolution kernel."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def bicubic_matrix(old, new):
    """(new, old) weights of antialiased bicubic interpolation with pixel centres at half integers."""
    scale = old / new
    width = max(scale, 1)
    distance = (np.arange(old) + 0.5)[None] - ((np.arange(new) + 0.5) * scale)[:, None]
    weights = cubic(distance / width)
    return weights / weights.sum(1, keepdims=True)


def levels(x):
    return np.clip(np.floor(x + 0.5), 0, 255)


def reference(pixels, height, width):
    """Box halving, bicubic, centre crop; rounded to levels after each pass as 8-bit images are."""
    x = pixels.astype(np.float64)
    while x.shape[0] >= 2 * height and x.shape[1] >= 2 * width:
        h, w = x.shape[0] // 2, x.shape[1] // 2
        x = levels(x.reshape(2 * h, w, 2, -1).mean(2))
        x = levels(x.reshape(h, 2, w, -1).mean(1))
    scale = max(height / x.shape[0], width / x.shape[1])
    h, w = round(x.shape[0] * scale), round(x.shape[1] * scale)
    x = levels(np.einsum("pw,hwc->hpc", bicubic_matrix(x.shape[1], w), x))
    x = levels(np.einsum("ph,hwc->pwc", bicubic_matrix(x.shape[0], h), x))
    top, left = (h - height) // 2, (w - width) // 2
    return x[top : top + height, left : left + width]


def picture(height, width, channels=3):
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize(
    ("old", "new"),
    [((40, 60), (8, 16)), ((64, 48), (16, 12)), ((30, 26), (12, 20)), ((9, 7), (18, 21)), ((44, 80), (10, 10))],
)
def test_resizing_agrees_with_the_definition(old, new):
    pixels = picture(*old)
    got = ImageRule(*new, channels=3)(Image.fromarray(pixels)).astype(float)
    # Pillow's fixed-point weights may round the other way, by one level in each of at most four passes.
    np.testing.assert_allclose(got, reference(pixels, *new), atol=2)
    assert np.abs(got - reference(pixels, *new)).mean() < 0.1


def test_a_picture_of_the_target_size_is_untouched():
    pixels = picture(6, 9)
    np.testing.assert_array_equal(ImageRule(6, 9, 3)(Image.fromarray(pixels)), pixels)


def test_the_centre_crop_comes_first():
    pixels = picture(20, 31)
    np.testing.assert_array_equal(ImageRule(8, 8, 3, crop=8)(Image.fromarray(pixels)), pixels[6:14, 11:19])


def test_channels_are_converted():
    rgba = picture(5, 4, 4)
    image = Image.fromarray(rgba)
    np.testing.assert_array_equal(ImageRule(5, 4, 4)(image), rgba)
    np.testing.assert_array_equal(ImageRule(5, 4, 3)(image), rgba[..., :3])
    luma = rgba[..., :3] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(ImageRule(5, 4, 1)(image)[..., 0], luma, atol=1)
    grey = Image.fromarray(rgba[..., 0])
    np.testing.assert_array_equal(ImageRule(5, 4, 3)(grey), np.repeat(rgba[..., :1], 3, -1))
    np.testing.assert_array_equal(ImageRule(5, 4, 4)(grey)[..., 3], np.full((5, 4), 255))


def test_sixteen_bit_grey_keeps_its_range():
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    np.testing.assert_array_equal(ImageRule(1, 4, 1)(Image.fromarray(values))[0, :, 0], [0, 1, 128, 255])


def test_exif_orientation_is_applied(tmp_path):
    pixels = picture(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        np.testing.assert_array_equal(ImageRule(6, 4, 3)(image), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("mode", "settings", "shape"),
    [
        ("RGB", {}, (10, 6, 3)),
        ("LA", {}, (10, 6, 4)),
        ("L", {"num_channels": 0}, (10, 6, 1)),
        ("L", {"image_size": 4, "num_channels": 3}, (4, 4, 3)),
        ("RGB", {"image_size": (4, 8)}, (4, 8, 3)),
        ("RGB", {"crop": 8}, (8, 6, 3)),
        ("I;16", {"image_size": None}, (10, 6, 1)),
    ],
)
def test_what_a_config_leaves_open_is_taken_from_the_first_image(mode, settings, shape):
    image = Image.new(mode, (6, 10))
    rule = rule_for(ConfigDict(settings), image)
    assert rule.shape == shape
    assert rule(image).shape == shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_channels": 2}, "num_channels=2"),
        ({"image_size": -4}, "image_size"),
        ({"image_size": (4, 4, 3)}, "height"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rule_for(ConfigDict(settings), Image.new("L", (6, 10)))
