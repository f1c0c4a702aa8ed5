"""Sample folders read back exactly; grids are exact pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from evaluation.grid import CAPTION, save_grid
from evaluation.images import iterate_images


def random_images(n, height, width, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels)).astype(np.uint8)


def read_all(path, batch_size=4):
    batches = list(iterate_images(path, batch_size))
    assert all(len(batch) <= batch_size for batch in batches)
    return np.concatenate(batches)


def test_folder_of_npz_ignores_the_preview(tmp_path):
    images = random_images(10, 3, 5, 1)
    np.savez(tmp_path / "samples_0.npz", samples=images[:6])
    np.savez(tmp_path / "samples_1.npz", images[6:])  # ADM's arr_0
    save_grid(images, tmp_path / "grid.png")
    np.testing.assert_array_equal(read_all(tmp_path), images)
    np.testing.assert_array_equal(read_all(tmp_path / "samples_1.npz"), images[6:])


def test_bad_inputs_are_named(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no samples at .*: expected an \.npz file or a folder of"):
            read_all(path)
    np.savez(tmp_path / "samples_0.npz", samples=random_images(1, 4, 4, 3))
    np.savez(tmp_path / "samples_1.npz", samples=random_images(1, 5, 4, 3))
    with pytest.raises(ValueError, match=r"samples_1\.npz: images are \(5, 4, 3\)"):
        read_all(tmp_path)
    np.savez(tmp_path / "samples_0.npz", samples=np.zeros((2, 4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"samples_0\.npz: samples is float32"):
        read_all(tmp_path)
    np.savez(tmp_path / "samples_0.npz", x=np.zeros(2))
    with pytest.raises(ValueError, match="no array named samples or arr_0 or images or train_images, only x"):
        read_all(tmp_path)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grid_pixels(tmp_path, channels):
    images = random_images(5, 2, 3, channels)
    save_grid(images, tmp_path / "grid.png", columns=2, scale=3)
    sheet = np.asarray(Image.open(tmp_path / "grid.png")).reshape((3 * 3 - 1) * 3, (2 * 4 - 1) * 3, channels)
    for y, x in np.ndindex(sheet.shape[:2]):
        (row, i), (column, j) = divmod(y // 3, 3), divmod(x // 3, 4)  # images of 2 x 3 with a line of 1
        index = 2 * row + column
        on_line = i == 2 or j == 3
        expected = np.full(channels, 96) if on_line else images[index, i, j] if index < 5 else np.zeros(channels)
        np.testing.assert_array_equal(sheet[y, x], expected)


def test_captions_stand_below_their_images_and_leave_them_alone(tmp_path):
    """Two texts and none: rows of text are white where there is some, the grey of the lines elsewhere."""
    images = random_images(3, 40, 40, 1)
    save_grid(images, tmp_path / "grid.png", columns=2, scale=1, captions=["cat", "a name that is cut off", ""])
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    pitch = 40 + CAPTION + 1
    assert sheet.shape == (2 * pitch - 1, 2 * 41 - 1)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        top, left = row * pitch, column * 41
        np.testing.assert_array_equal(sheet[top : top + 40, left : left + 40], images[i, ..., 0])
        text = sheet[top + 40 : top + 40 + CAPTION, left : left + 40]
        assert (text.max() > 200) == (i < 2) and text.min() >= 96


@pytest.mark.parametrize(("side", "scale"), [(8, 8), (28, 2), (32, 2), (256, 1)])
def test_small_images_are_enlarged(tmp_path, side, scale):
    save_grid(random_images(4, side, side, 1), tmp_path / "grid.png")
    assert Image.open(tmp_path / "grid.png").size == ((2 * side + 1) * scale, (2 * side + 1) * scale)


def test_grid_refuses_floats(tmp_path):
    with pytest.raises(ValueError, match="uint8 images .* got float32"):
        save_grid(np.zeros((1, 2, 2, 1), np.float32), tmp_path / "grid.png")
    assert list(tmp_path.iterdir()) == []
