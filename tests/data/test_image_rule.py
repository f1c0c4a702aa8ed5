"""The image rule against a NumPy resampler written from the definition of the filters."""

import struct

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from data.image_rule import ImageRule, rule_for
from tests.data.test_folder import load


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
    rgb = Image.fromarray(rgba[..., :3])
    luma = rgba[..., :3] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(ImageRule(5, 4, 1)(rgb)[..., 0], luma, atol=1)
    grey = Image.fromarray(rgba[..., 0])
    np.testing.assert_array_equal(ImageRule(5, 4, 3)(grey), np.repeat(rgba[..., :1], 3, -1))
    np.testing.assert_array_equal(ImageRule(5, 4, 4)(grey)[..., 3], np.full((5, 4), 255))


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 90)])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pictures_are_laid_over_the_background(channels, background):
    """The hidden colour under alpha 0 does not show, and opaque pixels are exactly as stored."""
    rgba = picture(8, 9, 4)
    rgba[0, :, 3] = 0
    rgba[1, :, 3] = 255
    got = ImageRule(8, 9, channels, background=background)(Image.fromarray(rgba)).astype(float)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + np.array(background) * (1 - alpha)
    if channels == 1:
        expected = (expected @ np.array([0.299, 0.587, 0.114]))[..., None]
    np.testing.assert_allclose(got, expected, atol=1.01)  # rounded once, and again to grey
    if channels == 3:
        np.testing.assert_array_equal(got[0], np.broadcast_to(background, (9, 3)))
        np.testing.assert_array_equal(got[1], rgba[1, :, :3])


def save_with_key(path):
    """A palette picture with a transparent entry, and what it looks like on blue."""
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 9, 9, 9])
    image.putdata(index.ravel().tolist())
    image.save(path, transparency=1)
    return np.array([[255, 0, 0], [0, 0, 255], [9, 9, 9]], np.uint8)[index]


@pytest.mark.parametrize("extension", ["png", "gif"])
def test_transparency_of_palettes_and_keys(extension, tmp_path):
    seen = save_with_key(tmp_path / f"a.{extension}")
    with Image.open(tmp_path / f"a.{extension}") as image:
        assert rule_for(ConfigDict(), image).channels == 4
        np.testing.assert_array_equal(ImageRule(2, 3, 3, background=(0, 0, 255))(image), seen)
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    grey.save(tmp_path / "grey.png", transparency=8)
    with Image.open(tmp_path / "grey.png") as image:
        assert ImageRule(1, 2, 1, background=(50, 50, 50))(image).ravel().tolist() == [7, 50]


def test_one_bit_and_cmyk_pictures(tmp_path):
    bits = picture(5, 8, 1)[..., 0] > 128
    Image.fromarray(bits).save(tmp_path / "bits.png")
    with Image.open(tmp_path / "bits.png") as image:
        np.testing.assert_array_equal(ImageRule(5, 8, 1)(image)[..., 0], 255 * bits)
    rgb = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    with Image.open(tmp_path / "print.jpg") as image:
        np.testing.assert_allclose(ImageRule(16, 16, 3)(image), rgb, atol=3)  # of JPEG


@pytest.mark.parametrize("extension", ["gif", "png", "webp", "tif"])
def test_of_animations_and_pages_the_first_is_taken(extension, tmp_path):
    frames = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(tmp_path / f"a.{extension}", save_all=True, append_images=frames[1:], **LOSSLESS.get(extension, {}))
    with Image.open(tmp_path / f"a.{extension}") as image:
        np.testing.assert_array_equal(ImageRule(8, 8, 3)(image), np.full((8, 8, 3), 40))


def test_sixteen_bit_grey_keeps_its_range():
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    np.testing.assert_array_equal(ImageRule(1, 4, 1)(Image.fromarray(values))[0, :, 0], [0, 1, 128, 255])


@pytest.mark.parametrize(("levels", "white"), [([0, 1000, 4095], 4095), ([0, 60, 255], 255), ([0.0, 0.25, 1.0], 1)])
def test_deep_grey_is_scaled_by_its_white(levels, white):
    """round(255 v / white), for integers and for floating-point pictures."""
    deep = np.array([levels], np.float32 if white == 1 else np.uint16)
    got = ImageRule(1, 3, 1, white=white)(Image.fromarray(deep))[0, :, 0]
    np.testing.assert_array_equal(got, [round(255 * v / white) for v in levels])


@pytest.mark.parametrize("levels", [[0, 4096], [-1, 5], [np.nan, 3]])
def test_levels_beyond_white_are_refused(levels):
    with pytest.raises(ValueError, match="are not within 0 to 4095"):
        ImageRule(1, 2, 1, white=4095)(Image.fromarray(np.array([levels], np.float32)))


LOSSLESS = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
    9: lambda x: x,  # no such orientation
}
"""EXIF orientation -> the picture as it is meant to be seen (EXIF 2.3, 4.6.4: where row 0 and column 0 are)."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("extension", ["png", "webp", "jpg", "tif"])
def test_exif_orientation_is_applied(extension, orientation, tmp_path):
    pixels = np.repeat(np.repeat(picture(2, 3), 16, 0), 16, 1)  # blocks of a JPEG
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / f"turned.{extension}", exif=exif, **LOSSLESS.get(extension, {}))
    expected = UPRIGHT[orientation](pixels)
    with Image.open(tmp_path / f"turned.{extension}") as image:
        rule = rule_for(ConfigDict(), image)
        got = rule(image)
    assert rule.shape == expected.shape
    np.testing.assert_allclose(got.astype(int), expected, atol=4 if extension == "jpg" else 0)


def exif_of(*entries):
    """Little-endian EXIF with one directory of entries (tag, type, count, four bytes of value); TIFF 6.0, section 2."""
    directory = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)


SIX = (0x0112, 3, 1, b"\x06\0\0\0")
ODD = {
    "bytes where a number belongs": [SIX, (0x0128, 7, 4, b"abcd")],
    "a rational that lies nowhere": [SIX, (0x011A, 5, 1, b"\xff\xff\xff\x7f")],
    "an unknown type": [SIX, (0x0131, 99, 1, bytes(4))],
    "text with no end": [SIX, (0x0132, 2, 4, b"\xff\xfe\xfd\xfc")],
    "a directory that lies nowhere": [SIX, (0x8769, 4, 1, b"\xff\xff\xff\x7f")],
    "very many values": [SIX, (0x9999, 3, 2**31 - 1, bytes(4))],
    "orientation as one byte": [(0x0112, 1, 1, b"\x06\0\0\0")],
    "orientation as a long": [(0x0112, 4, 1, b"\x06\0\0\0")],
    "orientation twice": [(0x0112, 3, 2, b"\x06\0\x06\0")],
    "tags out of order": [(0x0128, 3, 1, b"\x02\0\0\0"), SIX],
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("extension", ["jpg", "png"])
@pytest.mark.parametrize("case", ODD)
def test_odd_tags_do_not_keep_a_picture_from_being_upright(case, extension, tmp_path):
    pixels = np.repeat(np.repeat(picture(2, 3), 16, 0), 16, 1)
    Image.fromarray(pixels).save(tmp_path / f"a.{extension}", exif=exif_of(*ODD[case]), **LOSSLESS.get(extension, {}))
    with Image.open(tmp_path / f"a.{extension}") as image:
        np.testing.assert_allclose(ImageRule(48, 32, 3)(image).astype(int), np.rot90(pixels, -1), atol=4)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage and more of it", b"Exif\0\0II"])
@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_exif_that_cannot_be_read_is_said_of_the_file(extension, exif, tmp_path):
    """Nobody could say which side is up: the picture is as it is stored."""
    pixels = np.repeat(np.repeat(picture(2, 3), 16, 0), 16, 1)
    Image.fromarray(pixels).save(tmp_path / f"a.{extension}", exif=exif, **LOSSLESS.get(extension, {}))
    with pytest.warns(UserWarning, match=rf"'a\.{extension}' is taken as it is stored"):
        (images, _) = load(tmp_path).arrays()
    np.testing.assert_allclose(images[0].astype(int), pixels, atol=4)


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
        ({"background": (0, 0)}, "background"),
        ({"background": (0, 0, 256)}, "background"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rule_for(ConfigDict(settings), Image.new("L", (6, 10)))
