"""Training, validation and test folders by their usual names, and labels that mean the same in all of them."""

import pytest

from data.splits import WORDS, NoSplit
from tests.data.test_folder import listing, load, pack, write


def greys(source):
    """The values of the flat test images."""
    return source.arrays()[0][:, 0, 0, 0].tolist()


LAYOUTS = {("train", other): kind for kind in ("val", "test") for other in WORDS[kind]}
LAYOUTS |= {(train, "test"): "test" for train in WORDS["train"]}


@pytest.mark.parametrize(("train", "other"), LAYOUTS)
@pytest.mark.parametrize("spelling", [str.lower, str.capitalize])
def test_every_usual_name_of_a_split_is_that_split(train, other, spelling, tmp_path):
    folders = spelling(train), spelling(other)
    files = {f"{folders[0]}/p/1.png": 1, f"{folders[0]}/q/2.png": 2, f"{folders[1]}/q/3.png": 3}
    path = write(tmp_path / "set", files)
    assert greys(load(path)) == [1, 2] and load(path).class_names == ("p", "q")
    for split in {LAYOUTS[train, other], "test"}:  # validation images stand in for absent test images
        assert greys(load(path, split)) == [3]
        assert load(path, split).arrays()[1].tolist() == [1]


def test_validation_images_do_not_stand_in_where_there_are_test_images(tmp_path):
    path = write(tmp_path, {"train/1.png": 1, "valid/2.png": 2, "test/3.png": 3})
    assert [greys(load(path, split)) for split in ("train", "val", "test")] == [[1], [2], [3]]


def test_a_split_that_is_not_there_is_an_error_that_says_which_there_are(tmp_path):
    path = write(tmp_path, {"val/1.png": 1, "test/2.png": 2})
    with pytest.raises(NoSplit, match="has no train images; it has val, test"):
        load(path)
    with pytest.raises(NoSplit, match="has no val images; it has train, test"):
        load("", "val", dataset="digits")


REST = ["{}2017", "{}_images", "{}-images", "images_{}", "ILSVRC2012_{}", "seg {}", "{}_256"]


@pytest.mark.parametrize("spelling", REST)
def test_names_of_splits_with_a_common_rest_are_a_layout(spelling, tmp_path):
    train, val = spelling.format("train"), spelling.format("val")
    path = write(tmp_path, {f"{train}/p/1.png": 1, f"{train}/q/2.png": 2, f"{val}/q/3.png": 3, "aside/4.png": 4})
    assert (greys(load(path)), greys(load(path, "test"))) == ([1, 2], [3])
    assert load(path).class_names == ("p", "q") and load(path, "val").arrays()[1].tolist() == [1]


@pytest.mark.parametrize(
    ("train", "test"),
    [("trainA", "testA"), ("traina", "testa"), ("imagesTrain", "imagesVal"), ("TrainSet", "TestSet"), ("tr", "te")]
    + [("trn", "tst"), ("Tr", "Va"), ("imagesTr", "imagesTs"), ("trainval", "test")],
)
@pytest.mark.parametrize("where", ["folders", "siblings"])
def test_capitals_domains_and_short_words_are_understood(train, test, where, tmp_path):
    path = write(tmp_path, {f"{train}/1.png": 1, f"{test}/2.png": 2})
    path = path / train if where == "siblings" else path
    assert (greys(load(path)), greys(load(path, "test"))) == ([1], [2])


def test_of_two_domains_one_is_named(tmp_path):
    folders = {"trainA": 0, "trainB": 0, "testA": 1, "testB": 1}
    path = write(tmp_path, {f"{name}/1.png": grey for name, grey in folders.items()})
    with pytest.raises(ValueError, match="such as trainA"):
        load(path)
    assert (greys(load(path / "trainB")), greys(load(path / "trainB", "test"))) == ([0], [1])


def test_short_words_among_others_are_classes(tmp_path):
    """Turkish and Telugu."""
    source = load(write(tmp_path, {f"{language}/1.png": 1 for language in ("de", "en", "te", "tr")}))
    assert source.class_names == ("de", "en", "te", "tr") and len(source) == 4


def test_names_of_splits_may_be_of_two_forms(tmp_path):
    path = write(tmp_path, {"training_set/1.png": 1, "test_set/2.png": 2})
    assert (greys(load(path)), greys(load(path, "test"))) == ([1], [2])


def test_classes_that_hold_words_of_splits_are_no_layout(tmp_path):
    """Their rests differ."""
    source = load(write(tmp_path, {"train_station/1.png": 1, "test_tube/2.png": 2, "contest/3.png": 3}))
    assert source.class_names == ("contest", "test_tube", "train_station")


def test_one_of_several_layouts_must_be_named(tmp_path):
    path = write(tmp_path, {f"{kind}_{split}/1.png": 1 for kind in ("images", "masks") for split in ("train", "test")})
    with pytest.raises(ValueError, match="such as images_train"):
        load(path)
    assert len(load(path / "images_train", "test")) == 1


def test_class_folders_may_have_names_of_splits(tmp_path):
    """One such name is a vehicle or an exam, not a layout."""
    source = load(write(tmp_path, {"train/1.png": 1, "bus/2.png": 2}))
    assert (greys(source), source.class_names) == ([2, 1], ("bus", "train"))


def test_images_beside_the_splits_are_left_out_and_said(tmp_path):
    source = load(write(tmp_path, {"train/1.png": 1, "test/2.png": 2, "unlabeled/3.png": 3, "cover.png": 4}))
    assert greys(source) == [1]
    assert len(source.notes) == 1 and source.notes[0].startswith("2 images beside the folders train/, test/")


@pytest.mark.parametrize("name", ["val", "validation"])
def test_the_validation_split_may_be_a_sibling(name, tmp_path):
    write(tmp_path / "x", {"a.png": 1})
    write(tmp_path / "y", {"a.png": 2})
    pack(tmp_path / "x", tmp_path / "my-train.zip")
    pack(tmp_path / "y", tmp_path / f"my-{name}.zip")
    assert greys(load(tmp_path / "my-train.zip", "val")) == greys(load(tmp_path / "my-train.zip", "test")) == [2]


@pytest.mark.parametrize("where", ["folders", "siblings"])
def test_the_test_split_has_the_class_numbers_of_training(where, tmp_path):
    """It lacks a class and has one of its own, which comes after those of training."""
    files = {"train/set/b/0.png": 0, "train/set/c/1.png": 1, "train/set/a/2.png": 2}
    files |= {"test/set/c/3.png": 3, "test/set/a/4.png": 4, "test/set/aa/5.png": 5}
    path = write(tmp_path, files)
    test = load(path / "train" if where == "siblings" else path, "test")
    assert (greys(test), test.arrays()[1].tolist()) == ([4, 5, 3], [0, 3, 2])
    assert (load(path).class_names, test.class_names) == (("a", "b", "c"), ("a", "b", "c", "aa"))


def test_a_test_split_with_one_class_keeps_it(tmp_path):
    path = write(tmp_path, {"train/a/0.png": 0, "train/b/1.png": 1, "test/b/2.png": 2, "test/b/3.png": 3})
    assert load(path, "test").arrays()[1].tolist() == [1, 1]


def test_flat_test_images_are_unlabelled(tmp_path):
    path = write(tmp_path, {"train/a/0.png": 0, "train/b/1.png": 1, "test/2.png": 2})
    assert (greys(load(path, "test")), load(path, "test").num_classes) == ([2], 0)


def test_folders_of_a_split_without_a_listing_are_no_classes_of_one_with_a_listing(tmp_path):
    files = {"train/x/a.png": 1, "train/y/b.png": 2, "train/dataset.json": listing({"x/a.png": 1, "y/b.png": 0})}
    path = write(tmp_path, files | {"test/x/c.png": 3, "test/y/d.png": 4})
    assert load(path).arrays()[1].tolist() == [1, 0] and load(path, "test").num_classes == 0


def test_few_images_beside_class_folders_are_left_out_and_many_are_not(tmp_path):
    files = {f"{name}/{i}.png": i for name in ("cat", "dog") for i in range(3)}
    few = load(write(tmp_path / "few", files | {"cover.png": 9, "back.png": 8}))
    assert greys(few) == [0, 1, 2, 0, 1, 2] and few.class_names == ("cat", "dog")
    assert few.notes == ("2 of 8 images lie beside the class folders and are left out",)
    many = load(write(tmp_path / "many", files | {f"{i}.png": 10 + i for i in range(3)}))
    assert len(many) == 9 and many.num_classes == 0


def test_folders_that_are_parts_are_no_classes_where_prefixes_are(tmp_path):
    parts = {f"part{i}/{name}_{i}.png": i for i in range(3) for name in ("cat", "dog")}
    source = load(write(tmp_path / "parts", parts))
    assert source.class_names == ("cat", "dog") and source.arrays()[1].tolist() == [0, 1] * 3
    imagenet = {f"{wnid}/{wnid}_{i}.png": i for wnid in ("n014", "n015") for i in range(2)}
    assert load(write(tmp_path / "imagenet", imagenet)).class_names == ("n014", "n015")
    digits = {f"{digit}/img_{i}.png": i for digit in range(3) for i in range(2)}
    assert load(write(tmp_path / "digits", digits)).class_names == ("0", "1", "2")
