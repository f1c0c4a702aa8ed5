"""Which files below a folder or in a zip are images: each once, none lost, and the others counted with a reason."""

import io
import os
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from data.files import EXTENSIONS, open_files
from tests.data.test_folder import PLAIN, load, pack, write
from tests.data.test_splits import greys


def png(value):
    """A flat picture as the bytes of a file."""
    stored = io.BytesIO()
    Image.fromarray(np.full((4, 6), value, np.uint8)).save(stored, "png")
    return stored.getvalue()


def zip_of(path, *entries):
    """entries: (name or ZipInfo, content), in this order, names repeated as given."""
    with zipfile.ZipFile(path, "w") as z:
        for name, content in entries:
            z.writestr(name, content)
    return path


WRITTEN = [extension for extension in EXTENSIONS if extension not in (".pbm", ".apng")]


@pytest.mark.parametrize("extension", [*WRITTEN, ".PNG", ".TiF", ".Bmp"])
def test_every_format_is_read_in_any_spelling(extension, tmp_path):
    """A flat grey picture survives each: formats with losses keep it to within a level or two."""
    Image.fromarray(np.full((16, 16, 3), 100, np.uint8)).save(tmp_path / f"x{extension}")
    source = load(tmp_path, num_channels=3)
    np.testing.assert_allclose(source.arrays()[0], 100, atol=2)
    assert source.notes == ()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_no_image_is_counted_with_the_reason(tmp_path):
    path = write(tmp_path / "set", PLAIN | {"notes.txt": "x", "more/a.TXT": "x", "photo.heic": "x", "inner.zip": "x"})
    write(path, {".DS_Store": "x", "._a.png": "x", "__MACOSX/._b.png": "x", ".ipynb_checkpoints/a-checkpoint.png": 1})
    write(path, {"LICENSE": "x", "empty.png": ""})
    expected = "10 of 13 files skipped: 4 hidden, 2 .txt, 1 .heic, 1 .zip, 1 without an extension, 1 empty"
    for source in (load(path), load(pack(path, tmp_path / "set.zip"))):
        assert greys(source) == [10, 20, 30]
        (note,) = source.notes
        assert note.split(": ")[0] == expected.split(": ")[0]
        assert set(note.split(": ")[1].split(", ")) == set(expected.split(": ")[1].split(", "))


def test_files_that_are_not_files_are_counted(tmp_path, monkeypatch):
    """A pipe would be waited for, and a broken link is an error in the middle of training."""
    write(tmp_path, PLAIN | {"locked.png": 40})
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent.png")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path) and access(path, mode))
    (note,) = load(tmp_path).notes
    assert note == "3 of 6 files skipped: 2 broken links or no regular files, 1 not readable by you"


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    path, scandir = write(tmp_path, PLAIN | {"secret/d.png": 40}), os.scandir

    def locked(folder):
        if str(folder).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(OSError, match="cannot list the folder '.*secret': Permission denied"):
        load(path)


LINKS = {
    "to the folder that holds it": "set",
    "to a folder above the data": ".",
    "to a folder beside it": "set/a",
}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_to_what_is_read_anyway_is_not_followed(case, tmp_path):
    path = write(tmp_path / "set", {"a/1.png": 1, "b/2.png": 2})
    (path / "0link").symlink_to(tmp_path / LINKS[case], target_is_directory=True)
    source = load(path)
    assert (greys(source), source.class_names) == ([1, 2], ("a", "b"))
    assert source.notes == ("1 of 3 files skipped: 1 links to folders that are read already",)


def test_links_to_elsewhere_are_followed(tmp_path):
    """Also into a hidden folder of the data set, as stores of downloaded files are laid out."""
    path = write(tmp_path / "set", {".store/x/1.png": 1})
    write(tmp_path / "other", {"b/2.png": 2, "b/loop/3.png": 3})
    (tmp_path / "other" / "b" / "loop" / "up").symlink_to("..")
    (path / "a").symlink_to(path / ".store" / "x")
    (path / "c").symlink_to(tmp_path / "other")
    (path / "d.png").symlink_to(tmp_path / "other" / "b" / "2.png")
    assert open_files(path).images == ["a/1.png", "c/b/2.png", "c/b/loop/3.png", "d.png"]


WAYS = ["a/0.png", "./a/0.png", "/a/0.png", "../a/0.png", "a\\0.png", ".\\a\\0.png", "a//0.png"]


@pytest.mark.parametrize("way", WAYS)
def test_names_in_zips_are_read_however_they_are_written(way, tmp_path):
    path = zip_of(tmp_path / "set.zip", (way, png(1)), ("b/0.png", png(2)), (way.replace("0.png", ""), b""))
    source = load(path)
    assert (greys(source), source.class_names, source.notes) == ([1, 2], ("a", "b"), ())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name_are_all_there_and_those_of_one_content_once(tmp_path):
    entries = [
        ("a/0.png", png(1)),
        ("a/0.png", png(2)),
        ("b/0.png", png(3)),
        ("./a/0.png", png(2)),
        ("a\\0.png", png(4)),
    ]
    source = load(zip_of(tmp_path / "set.zip", *entries, ("a/0 (2).png", png(5))))
    assert sorted(greys(source)) == [1, 2, 3, 4, 5]
    assert source.class_names == ("a", "b") and source.arrays()[1].tolist() == [0, 0, 0, 0, 1]


def test_names_in_zips_are_unicode(tmp_path):
    """Marked as such, or unmarked UTF-8 as from a Mac, or in cp437 as the standard has it."""
    names = ["grün/é.png", "käse/é.png"]
    path = zip_of(tmp_path / "set.zip", *((name, png(i)) for i, name in enumerate(names)))
    assert load(path).class_names == ("grün", "käse")
    marked = path.read_bytes()
    path.write_bytes(marked.replace(b"\x00\x08", b"\x00\x00"))  # the mark, in the headers of entries
    assert all(entry.flag_bits == 0 for entry in zipfile.ZipFile(path).infolist())
    assert load(path).class_names == ("grün", "käse")
    legacy = zip_of(tmp_path / "legacy.zip", ("gruen/e.png", png(1)), ("kaese/e.png", png(2)))
    legacy.write_bytes(legacy.read_bytes().replace(b"gruen", "grüen".encode("cp437")))
    assert load(legacy).class_names == ("grüen", "kaese")


def test_names_of_a_folder_may_be_of_any_bytes(tmp_path):
    for name in (b"\xff\xfe.png", "日本.png".encode()):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(png(len(name)))
    source = load(tmp_path)
    assert sorted(greys(source)) == [6, 10] and len(source.fingerprint()) == 64


def test_links_in_zips_hold_no_image(tmp_path):
    link = zipfile.ZipInfo("b.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    source = load(zip_of(tmp_path / "set.zip", ("a.png", png(1)), (link, b"a.png")))
    assert greys(source) == [1] and source.notes == ("1 of 2 files skipped: 1 links",)


def test_encrypted_and_damaged_zips_are_named(tmp_path):
    path = zip_of(tmp_path / "set.zip", ("a.png", png(1)), ("b.png", png(2)))
    whole = path.read_bytes()
    local, central = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    locked = bytearray(whole)
    locked[local + 6] |= 1  # flags of the local header and of the central directory (APPNOTE 4.3.7 and 4.3.12)
    locked[central + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(ValueError, match=r"set\.zip' is encrypted: unpack it"):
        load(path)
    foreign = bytearray(whole)
    foreign[local + 8] = foreign[central + 10] = 9  # the method: deflate64, which zipfile does not know
    path.write_bytes(foreign)
    with pytest.raises(ValueError, match=r"set\.zip' is compressed by a method .*: unpack it and give the folder"):
        load(path)
    path.write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x09"))
    with pytest.raises(ValueError, match=r"set\.zip' is a damaged zip"):
        load(path)
    path.write_bytes(whole[:-30])
    with pytest.raises(ValueError, match="neither a directory nor a readable"):
        load(path)


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(ValueError, match=r"has no images \(1 of 1 files skipped: 1 \.zip\)"):
        load(zip_of(tmp_path / "outer.zip", ("inner.zip", b"x")))
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match=r"has no images \(no files\)"):
        load(tmp_path / "bare")
