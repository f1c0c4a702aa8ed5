"""Paths that no reader takes, and published networks told by their shapes."""

import pytest

import interop
from configs.default import get_config
from files.refused import Refused
from interop.expected import expected_shapes
from interop.known import KNOWN, suggestion


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"\xfd7zXZ\x00....", "compressed with xz"),
        (b"\x1f\x8b\x08....", "compressed with gzip"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"PK\x03\x04 broken", "damaged, cut short"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "safetensors without a config.json"),
        (b"random text", "of no known format"),
    ],
)
def test_files_of_no_format(data, message, tmp_path):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(data)
    with pytest.raises(Refused, match=message) as caught:
        interop.load(path, get_config())
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_absent_paths_and_folders_without_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        interop.load(tmp_path / "absent", get_config())
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(Refused, match="a folder without a checkpoint; it holds notes.txt"):
        interop.load(tmp_path, get_config())


def test_shape_of_the_data_must_be_known(tmp_path):
    config = get_config()
    config.data.image_size = 0
    with pytest.raises(ValueError, match="config.data.image_size"):
        expected_shapes(config)
    assert expected_shapes(config, shape=(32, 32, 3))["Conv_0/kernel"] == (3, 3, 6, 128)
    assert expected_shapes(config, shape=(32, 32, 3), k=1)["Conv_0/kernel"] == (3, 3, 3, 128)


@pytest.mark.parametrize("path", KNOWN)
def test_published_networks_are_told_by_their_shapes(path, config_of):
    config = config_of(path)
    assert suggestion(expected_shapes(config), {"model.prediction": config.model.prediction}) == path
