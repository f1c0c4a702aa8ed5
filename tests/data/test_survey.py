"""Deep grey is read with one white for all pictures of a data set, and what is done to pictures is said."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data import survey
from tests.data.test_folder import load, write


def save_levels(folder, levels, dtype=np.uint16, extension="png"):
    """One picture of 1 x n pixels of each row of levels (m, n)."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(np.atleast_2d(np.array(levels, dtype))):
        Image.fromarray(row[None]).save(folder / f"{i}.{extension}")
    return folder


def write_colour(path, levels):
    """A PNG of 16-bit levels (H, W, 3 or 4), which Pillow reads and does not write (PNG specification, 11.2)."""
    height, width, channels = levels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def read(path, split="train", **settings):
    """Pictures of 1 x n grey pixels as rows."""
    return load(path, split, **settings).arrays()[0][:, 0, :, 0]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_fewer_bits_in_sixteen_fill_the_range(bits, extension, tmp_path):
    """Within the pictures black is 0 and white is 255; a dark picture of the set stays dark."""
    white = 2**bits - 1
    levels = np.array([[0, white // 3, white], [0, white // 6, white // 4]])
    save_levels(tmp_path, levels, extension=extension)
    np.testing.assert_array_equal(read(tmp_path), np.rint(levels * 255 / white))
    (note,) = load(tmp_path).notes
    assert note == f"2 of 2 images looked at have grey of more than 8 bits, read with the level {white} as white"


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_pictures_are_read_by_their_range(white, tmp_path):
    levels = np.array([[0, 0.25, 1], [0.5, 0.125, 0.75]]) * white
    np.testing.assert_allclose(
        read(save_levels(tmp_path, levels, np.float32, "tif")), levels * 255 / white, atol=0.5001
    )


def test_the_white_of_training_is_that_of_all_splits(tmp_path):
    """A dark test split is not made bright; one beyond the white of training is refused by name."""
    save_levels(tmp_path / "train", [[0, 65535]])
    save_levels(tmp_path / "test", [[0, 257 * 9]])
    assert read(tmp_path, "test").tolist() == [[0, 9]]
    save_levels(tmp_path / "train", [[0, 4095]])
    save_levels(tmp_path / "test", [[0, 4096]])
    with pytest.raises(ValueError, match="'test/0.png' .*grey levels 0 to 4096 are not within 0 to 4095"):
        read(tmp_path, "test")


def test_deep_grey_is_looked_at_in_every_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(survey, "LOOKED_AT", 2)
    save_levels(tmp_path, [[0, 100], [0, 65535], [0, 200]])
    assert read(tmp_path).tolist() == [[0, 0], [0, 255], [0, 1]]


@pytest.mark.parametrize("channels, bits", [(3, 10), (3, 12), (3, 14), (4, 12)])
def test_fewer_bits_of_sixteen_bit_colour_are_refused(channels, bits, tmp_path):
    """Pillow drops the lower 8 bits."""
    write_colour(tmp_path / "a.png", np.full((2, 2, channels), 2**bits - 1))
    with pytest.raises(ValueError, match="'a.png' and others hold colours of 14 bits or fewer in 16"):
        load(tmp_path)
    write(tmp_path, {"0.png": 7})
    with pytest.raises(ValueError, match="'a.png' and others hold"):  # not the first, which has 8 bits
        load(tmp_path)
    (tmp_path / "0.png").unlink()
    write_colour(tmp_path / "b.png", np.full((2, 2, channels), 0x4321))
    assert load(tmp_path).arrays()[0][:, 0, 0, 0].tolist() == [2 ** (bits - 8) - 1, 0x43]


@pytest.mark.parametrize(("crop", "small"), [(0, 1), (8, 3)])
def test_enlarged_pictures_are_said(crop, small, tmp_path):
    """Either way up, which EXIF decides; a crop makes more."""
    for name, size in {"a": (10, 12), "b": (12, 10), "c": (20, 9)}.items():
        Image.new("L", size).save(tmp_path / f"{name}.png")
    (note,) = load(tmp_path, image_size=(12, 10), crop=crop).notes
    assert note == f"{small} of 3 images looked at are smaller than 12 x 10 pixels, and enlarged (data.image_size)"


def test_transparency_and_frames_are_said(tmp_path):
    clear = Image.new("RGBA", (6, 4), (1, 2, 3, 0))
    clear.save(tmp_path / "a.png")
    clear.save(tmp_path / "b.gif", save_all=True, append_images=[Image.new("RGBA", (6, 4), (9, 9, 9, 255))])
    write(tmp_path, {"c.png": 10})
    source = load(tmp_path, num_channels=3, background=(7, 8, 9))
    assert source.arrays()[0][:, 0, 0].tolist() == [[7, 8, 9], [7, 8, 9], [10, 10, 10]]
    assert source.notes == (
        "2 of 3 images looked at have an alpha channel, and are laid over data.background=(7, 8, 9)",
        "1 of 3 images looked at have several frames or pages, of which the first is read",
    )
    assert len(load(tmp_path, num_channels=4).notes) == 1
    grey = load(tmp_path, num_channels=1).notes
    assert "2 of 3 images looked at are stored in colour, and read as grey (data.num_channels)" in grey
