"""Published trees of pictures, made up in their layouts, give the images and classes that the lists say."""

import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

import data
from data import tfds

SIZE = 64


def paint(root, names):
    """A picture of one random colour for each name, lossless whatever the ending. Returns {name: colour}."""
    rng = np.random.default_rng(len(names))
    colours = {name: tuple(int(level) for level in rng.integers(0, 256, 3)) for name in sorted(names)}
    for name, colour in colours.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIZE, SIZE), colour).save(root / name, format="png")
    return colours


def write(root, texts):
    for name, lines in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")


def tiny_imagenet(root):
    root = root / "tiny-imagenet-200"
    train = {f"train/{of}/images/{of}_{i}.JPEG": of for of in ("n02", "n01") for i in range(2)}
    val = {"val/images/val_0.JPEG": "n02", "val/images/val_1.JPEG": "n01", "val/images/val_10.JPEG": "n02"}
    colours = paint(root, [*train, *val, "test/images/test_0.JPEG"])
    write(
        root, {"val/val_annotations.txt": [f"{name.split('/')[-1]}\t{of}\t0\t32\t44\t62" for name, of in val.items()]}
    )
    return colours, {"train": train, "val": val, "test": val}, ("n01", "n02")


def imagenet(root):
    train = {f"train/{of}/{of}_{i}.JPEG": of for of in ("n02", "n01") for i in range(2)}
    val = {f"val/{of}/ILSVRC2012_val_0000000{i}.JPEG": of for i, of in enumerate(("n01", "n02"))}
    return paint(root, [*train, *val]), {"train": train, "val": val, "test": val}, ("n01", "n02")


def imagenet_of_kaggle(root):
    folder = "ILSVRC/Data/CLS-LOC"
    train = {f"{folder}/train/{of}/{of}_{i}.JPEG": of for of in ("n02", "n01") for i in range(2)}
    val = {f"{folder}/val/ILSVRC2012_val_0000000{i}.JPEG": of for i, of in enumerate(("n02", "n01"))}
    solution = [f"{name.split('/')[-1][:-5]},{of} 85 1 499 272 {of} 1 2 3 4 " for name, of in val.items()]
    write(root, {"LOC_val_solution.csv": ["ImageId,PredictionString", *solution]})
    return paint(root, [*train, *val]), {"train": train, "val": val}, ("n01", "n02")


def places365(root):
    names = ("zoo", "apartment_building/outdoor", "airfield")
    train = {f"data_256_standard/{of[0]}/{of}/0000000{i}.jpg": of for of in names for i in range(2)}
    val = {f"val_256/Places365_val_0000000{i}.jpg": names[i] for i in range(2)}
    number = {name: i for i, name in enumerate(names)}
    write(
        root,
        {
            "categories_places365.txt": [f"/{of[0]}/{of} {i}" for of, i in number.items()],
            "places365_train_standard.txt": [f"/{n.split('/', 1)[1]} {number[of]}" for n, of in train.items()],
            "places365_val.txt": [f"{n.split('/', 1)[1]} {number[of]}" for n, of in val.items()],
        },
    )
    return paint(root, [*train, *val]), {"train": train, "val": val}, names


def places365_by_folders(root):
    root = root / "places365_standard"
    train = {f"train/{of}/0000000{i}.jpg": of for of in ("zoo", "airfield") for i in range(2)}
    val = {f"val/{of}/Places365_val_00000001.jpg": of for of in ("zoo", "airfield")}
    return paint(root, [*train, *val]), {"train": train, "val": val}, ("airfield", "zoo")


def dtd(root):
    root = root / "dtd"
    of_split = {
        split: {f"images/{of}/{of}_{i:04d}.jpg": of for of in ("zigzagged", "banded")}
        for i, split in enumerate(("train", "val", "test"))
    }
    for split, images in of_split.items():
        write(
            root, {f"labels/{split}1.txt": [name.split("/", 1)[1] for name in images], f"labels/{split}2.txt": ["no"]}
        )
    return paint(root, [name for images in of_split.values() for name in images]), of_split, ("banded", "zigzagged")


LAYOUTS = {
    "tiny_imagenet": ("tiny_imagenet", tiny_imagenet),
    "imagenet": ("imagenet", imagenet),
    "imagenet, Kaggle": ("imagenet", imagenet_of_kaggle),
    "places365": ("places365", places365),
    "places365, a folder for each class": ("places365", places365_by_folders),
    "dtd": ("dtd", dtd),
}


def load(name, path, split="train", **settings):
    return data.get_dataset(ConfigDict({"data": {"dataset": name, "path": str(path), **settings}}), split)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_images_and_classes_come_back(layout, packed, tmp_path):
    name, make = LAYOUTS[layout]
    colours, splits, classes = make(tmp_path / "set")
    path = shutil.make_archive(tmp_path / "packed", "zip", tmp_path / "set") if packed else tmp_path / "set"
    for split, of_image in splits.items():
        source = load(name, path, split)
        images, labels = source.arrays()
        assert [tuple(image[0, 0]) for image in images] == [colours[image] for image in sorted(of_image)]
        assert [source.class_names[label] for label in labels] == [of_image[image] for image in sorted(of_image)]
        assert (source.name, source.class_names, source.shape) == (name, classes, (SIZE, SIZE, 3))


def test_every_set_of_pictures_has_a_layout_here():
    assert {name for name, _ in LAYOUTS.values()} == {published.name for published in data.PICTURE_SETS}


def test_images_of_unknown_class_are_counted(tmp_path):
    tiny_imagenet(tmp_path)
    notes = load("tiny_imagenet", tmp_path / "tiny-imagenet-200").notes
    assert notes == ("1 images without a class are left out, such as test/images/test_0.JPEG",)


def test_what_is_listed_and_not_there_is_named(tmp_path):
    dtd(tmp_path)
    (tmp_path / "dtd/images/banded/banded_0000.jpg").unlink()
    with pytest.raises(ValueError, match=r"'images/banded/banded_0000.jpg' is listed and not there \(1 of 2\)"):
        load("dtd", tmp_path)


def test_another_folder_and_no_path_are_said(tmp_path):
    paint(tmp_path, ["one.png"])
    with pytest.raises(
        FileNotFoundError, match="does not hold tiny_imagenet: .*val_annotations.txt from http.*dataset=folder"
    ):
        load("tiny_imagenet", tmp_path)
    with pytest.raises(FileNotFoundError, match="data.path='' does not hold tiny_imagenet: .*from http"):
        load("tiny_imagenet", "")


@pytest.mark.parametrize(
    ("name", "theirs"), [("imagenet", "imagenet2012"), ("places365", "places365_small"), ("dtd", "dtd")]
)
def test_without_pictures_tfds_is_asked(name, theirs, tmp_path, monkeypatch):
    """Without a path, and with the folder that TFDS prepared."""
    asked = []
    monkeypatch.setattr(tfds, "tfds_source", lambda data, split: asked.append((data.dataset, data.path, split)))
    (tmp_path / theirs).mkdir()
    (tmp_path / theirs / "features.json").write_text("{}")
    for path in ("", str(tmp_path)):
        load(name, path, "val")
    assert asked == [(theirs, "", "val"), (theirs, str(tmp_path), "val")]


def test_a_missing_split_is_said(tmp_path):
    imagenet(tmp_path)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(data.NoSplit, match="imagenet in data.path=.* has no test images; it has train"):
        load("imagenet", tmp_path, "test")
