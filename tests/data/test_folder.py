"""Directory and zip, labels by every rule, splits, and the one-line errors."""

import json
import pickle
import unicodedata
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

import data


def write(folder, files):
    """files: {name: grey value, or text for files that are no images}."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            Image.fromarray(np.full((4, 6), content, np.uint8)).save(path)
    return folder


def pack(folder, path, top=""):
    with zipfile.ZipFile(path, "w") as z:
        for file in sorted(folder.rglob("*"), reverse=True):
            z.write(file, top + file.relative_to(folder).as_posix())
    return path


def load(path, split="train", **settings):
    return data.get_dataset(ConfigDict({"data": {"dataset": "folder", "path": str(path), **settings}}), split)


def listing(labels, **more):
    return json.dumps({"labels": labels, **more})


PLAIN = {"b.png": 20, "a.png": 10, "c.png": 30}
LABEL_CASES = {
    "json with the number of classes": (
        PLAIN | {"dataset.json": listing(dict.fromkeys(PLAIN, 0), classes=3)},
        [10, 20, 30],
        [0, 0, 0],
        3,
    ),
    "none": (PLAIN, [10, 20, 30], [0, 0, 0], 0),
    "prefix": ({"dog_1.png": 1, "cat_1.png": 2, "dog_0.png": 3}, [2, 3, 1], [0, 1, 1], 2),
    "one prefix is no class": ({"IMG_1.png": 1, "IMG_2.png": 2}, [1, 2], [0, 0], 0),
    "not every file has a prefix": ({"dog_1.png": 1, "cat.png": 2}, [2, 1], [0, 0], 0),
    "folders": ({"dog/x_1.png": 1, "cat/deep/y_2.png": 2, "cat/z_3.png": 3}, [2, 3, 1], [0, 0, 1], 2),
    "folders below a common one": ({"all/dog/1.png": 1, "all/cat/2.png": 2}, [2, 1], [0, 1], 2),
    "numbers by value": ({"10/a.png": 1, "2/a.png": 2}, [1, 2], [1, 0], 2),
    "json pairs": (
        PLAIN | {"dataset.json": listing([["a.png", 4], ["b.png", 0], ["c.png", 2]])},
        [10, 20, 30],
        [4, 0, 2],
        5,
    ),
    "json mapping": (
        PLAIN | {"dataset.json": listing({"a.png": 1, "b.png": 0, "c.png": 1})},
        [10, 20, 30],
        [1, 0, 1],
        2,
    ),
    "json over folders": (
        {"x/a.png": 10, "y/b.png": 20, "dataset.json": listing([["x/a.png", 1], ["y/b.png", 0]])},
        [10, 20],
        [1, 0],
        2,
    ),
    "json in the common folder": (
        {"x/a.png": 10, "x/b.png": 20, "x/dataset.json": listing([["a.png", 1], ["b.png", 0]])},
        [10, 20],
        [1, 0],
        2,
    ),
    "json above the common folder": (
        {"x/a.png": 10, "x/b.png": 20, "dataset.json": listing([["x/a.png", 1], ["x/b.png", 0]])},
        [10, 20],
        [1, 0],
        2,
    ),
    "json null": (PLAIN | {"dataset.json": listing(None)}, [10, 20, 30], [0, 0, 0], 0),
    "json with class names": (
        PLAIN | {"dataset.json": listing(dict.fromkeys(PLAIN, 0), classes=["p", "q", "r"])},
        [10, 20, 30],
        [0, 0, 0],
        3,
    ),
}


@pytest.mark.parametrize("case", LABEL_CASES)
@pytest.mark.parametrize("container", ["directory", "zip"])
def test_labels_and_order(case, container, tmp_path):
    files, values, labels, num_classes = LABEL_CASES[case]
    path = write(tmp_path / "set", files)
    if container == "zip":
        path = pack(path, tmp_path / "set.zip")
    source = load(path)
    images, got = source.arrays()
    np.testing.assert_array_equal(images[:, 0, 0, 0], values)
    np.testing.assert_array_equal(got, labels)
    assert (source.num_classes, source.name, len(source)) == (num_classes, "set", len(values))


def test_items_equal_arrays_before_and_after_pickling(tmp_path):
    source = load(pack(write(tmp_path / "set", LABEL_CASES["prefix"][0]), tmp_path / "set.zip"), image_size=(2, 3))
    copy = pickle.loads(pickle.dumps(source))
    images, labels = source.arrays()
    assert len(pickle.dumps(source)) == len(pickle.dumps(copy))
    for i in range(3):
        example = copy[i]
        np.testing.assert_array_equal(example["image"], images[i])
        assert (example["label"], example["index"]) == (labels[i], i)
        assert example["label"].dtype == example["index"].dtype == np.int32
    with pytest.raises(IndexError):
        copy[3]


def test_jpeg_and_webp_are_read_and_other_files_passed_over(tmp_path):
    files = {
        "a.JPG": 50,
        "b.jpeg": 90,
        "c.webp": 130,
        "d.png": 170,
        ".hidden.png": "",
        "__MACOSX/._a.png": "",
        "notes.txt": "",
    }
    images, _ = load(write(tmp_path, files)).arrays()
    np.testing.assert_allclose(images[:, 0, 0, 0], [50, 90, 130, 170], atol=2)


@pytest.mark.parametrize("container", ["directory", "zip"])
def test_sub_folders_train_and_test_are_the_splits(container, tmp_path):
    path = write(tmp_path / "set", {"train/p/1.png": 1, "train/q/2.png": 2, "test/p/3.png": 3, "val/p/4.png": 4})
    if container == "zip":
        path = pack(path, tmp_path / "set.zip", top="set/")
    assert load(path).arrays()[0][:, 0, 0, 0].tolist() == [1, 2]
    assert load(path).num_classes == 2
    assert load(path, "test").arrays()[0][:, 0, 0, 0].tolist() == [3]


def test_the_sibling_of_a_train_path_is_the_test_split(tmp_path):
    write(tmp_path / "train", {"a.png": 1})
    write(tmp_path / "test", {"a.png": 2})
    for name in ("train", "test"):
        pack(tmp_path / name, tmp_path / f"my-{name}.zip")
    for train in (tmp_path / "train", tmp_path / "my-train.zip"):
        assert load(train).arrays()[0][0, 0, 0, 0] == 1
        assert load(train, "test").arrays()[0][0, 0, 0, 0] == 2


@pytest.mark.parametrize(("name", "hint"), [("pictures", "'train' beside one with 'test'"), ("train", "test'")])
def test_no_test_images_is_an_error_that_says_what_to_provide(name, hint, tmp_path):
    with pytest.raises(ValueError, match=f"has no test images: provide .*{hint}"):
        load(write(tmp_path / name, PLAIN), "test")


def test_missing_and_empty_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no images .1 of 1 files skipped: 1 \.txt.: looked for .*\.jpg"):
        load(write(tmp_path, {"a.txt": "text"}))
    with pytest.raises(ValueError, match="neither a directory nor a readable"):
        load(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="needs data.path"):
        load("")


@pytest.mark.parametrize("position", ["first", "later"])
def test_a_corrupt_image_is_named(position, tmp_path):
    bad = {"first": "a.png", "later": "c.png"}[position]
    write(tmp_path, PLAIN)
    content = (tmp_path / bad).read_bytes()
    (tmp_path / bad).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"cannot decode image '{bad}'"):
        load(tmp_path).arrays()
    (tmp_path / bad).write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=f"cannot decode image '{bad}' .* no image at all"):
        load(tmp_path).arrays()


def test_names_in_a_listing_are_read_however_they_are_written(tmp_path):
    """With a dot, from Windows, and with accents in either form of Unicode; a mark of the byte order is no text."""
    composed, apart = (unicodedata.normalize(form, "é/1.png") for form in ("NFC", "NFD"))
    path = write(tmp_path / "set", {"a/0.png": 10, apart: 20, "z/2.png": 30})
    names = ["./a/0.png", composed, "z\\2.png"]
    (path / "dataset.json").write_bytes(b"\xef\xbb\xbf" + listing(dict(zip(names, (2, 1, 0), strict=True))).encode())
    images, labels = load(path).arrays()
    assert dict(zip(images[:, 0, 0, 0].tolist(), labels.tolist(), strict=True)) == {10: 2, 20: 1, 30: 0}


def test_the_shape_that_a_config_leaves_open_is_that_of_training(tmp_path):
    path = write(tmp_path, {"train/a.png": 1, "test/b.png": 2})
    Image.new("RGB", (50, 40)).save(path / "test" / "a.png")
    assert load(path, "test").shape == load(path).shape == (4, 6, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "dataset.json must hold"),
        (listing([["a.png", 1]]), "no label for 'b.png'"),
        ("[]", "dataset.json must hold"),
        (listing({"a.png": 1.7, "b.png": 0, "c.png": 0}), "1.7 is no whole number"),
        (listing({"a.png": True, "b.png": 0, "c.png": 0}), "True is no whole number"),
        (listing({"a.png": 0, "b.png": 0, "c.png": 0}, classes=1.5), "1.5 is no whole number"),
        (listing([["a.png", "cat"]]), "whole numbers"),
        (listing([["a.png", 0], ["b.png", 0], ["c.png", 0], ["./a.png", 1]]), "a file has two classes"),
        (listing({"a.png": 2**40, "b.png": 0, "c.png": 0}), "from 0 to 999999; found 0 to 1099511627776"),
        (listing({"a.png": float("inf"), "b.png": 0, "c.png": 0}), "inf is no whole number"),
        (listing({"a.png": None, "b.png": 0, "c.png": 0}), "whole numbers"),
        (listing({"a.png": -1, "b.png": 0, "c.png": 0}), "found -1 to 0"),
    ],
)
def test_a_bad_listing_is_explained(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, PLAIN | {"dataset.json": content}))
