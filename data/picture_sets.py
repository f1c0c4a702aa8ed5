"""Tiny ImageNet, ImageNet, Places365 and DTD as they are published (data/listed.py).

tiny_imagenet   train/WNID/images/*.JPEG; val/images/*.JPEG with val/val_annotations.txt: image, WNID, box. The
                classes of its test images are kept secret: validation images stand in
imagenet        train/WNID/*.JPEG; val/WNID/*.JPEG, or val/*.JPEG with LOC_val_solution.csv (Kaggle): image, WNID, box
places365       train/CLASS/*.jpg and val/CLASS/*.jpg; or data_256_standard/a/airfield/*.jpg and val_256/*.jpg (or
                _large) with places365_train_standard.txt and places365_val.txt: image, number, and
                categories_places365.txt: class, number
dtd             images/CLASS/*.jpg with labels/train1.txt, val1.txt and test1.txt: the first of ten partitions
"""

from pathlib import PurePosixPath

from linnet.data.listed import Classes, ListedSet, Tree, by_folder, by_list

KAGGLE = "ILSVRC/Data/CLS-LOC"
"""Where Kaggle's archive of ImageNet has its pictures."""


def tiny_imagenet(tree: Tree) -> dict[str, Classes]:
    """Chrabaszcz and others' 64 x 64 images of 200 classes of ImageNet (Stanford's CS231n)."""
    lines = (line.split("\t") for line in tree.lines("val/val_annotations.txt"))
    entries = ((name, found) for name, found, *_ in lines)
    return {"train": by_folder(tree, "train"), "val": by_list(tree, "val/images", entries)}


def imagenet(tree: Tree) -> dict[str, Classes]:
    """ILSVRC 2012 (Russakovsky et al., arXiv:1409.0575)."""
    train, val = "train", "val"
    if tree.images(f"{KAGGLE}/{train}") or tree.images(f"{KAGGLE}/{val}"):
        train, val = f"{KAGGLE}/{train}", f"{KAGGLE}/{val}"
    lines = (line.partition(",") for line in tree.lines("LOC_val_solution.csv")[1:])
    entries = ((f"{name}.JPEG", found.split()[0]) for name, _, found in lines)
    return {"train": by_folder(tree, train), "val": by_folder(tree, val) or by_list(tree, val, entries)}


def places365(tree: Tree) -> dict[str, Classes]:
    """Zhou et al., Places: a 10 million image database for scene recognition, 2017."""
    names = places365_classes(tree)
    if not names:
        return {"train": by_folder(tree, "train"), "val": by_folder(tree, "val")}

    def listed(text: str, folder: str) -> Classes:
        entries = (line.rsplit(maxsplit=1) for line in tree.lines(text))
        found = ((name, names[int(number)]) for name, number in entries)
        size = next((size for size in ("256", "large") if tree.images(folder.format(size))), "256")
        return by_list(tree, folder.format(size), found)

    return {
        "train": listed("places365_train_standard.txt", "data_{}_standard"),
        "val": listed("places365_val.txt", "val_{}"),
    }


def places365_classes(tree: Tree) -> tuple[str, ...]:
    """The classes in the order of their numbers, "/a/airfield" as "airfield"; () without a list of them."""
    pairs = (line.rsplit(maxsplit=1) for line in tree.lines("categories_places365.txt"))
    by_number = {int(number): name.removeprefix("/").partition("/")[2] for name, number in pairs}
    return tuple(by_number[number] for number in sorted(by_number))


def dtd(tree: Tree) -> dict[str, Classes]:
    """Describable textures (Cimpoi et al., arXiv:1311.3618)."""

    def listed(text: str) -> Classes:
        names = (line.strip() for line in tree.lines(f"labels/{text}1.txt"))
        return by_list(tree, "images", ((name, PurePosixPath(name).parts[0]) for name in names))

    return {split: listed(split) for split in ("train", "val", "test")}


PICTURE_SETS = (
    ListedSet(
        "tiny_imagenet",
        tiny_imagenet,
        ("tiny-imagenet-200/",),
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "train/ and val/ with val_annotations.txt",
    ),
    ListedSet(
        "imagenet",
        imagenet,
        (),
        "https://image-net.org",
        "train/ and val/ with a folder for each class, or val/ with LOC_val_solution.csv",
        tfds="imagenet2012",
    ),
    ListedSet(
        "places365",
        places365,
        ("places365_standard/",),
        "http://places2.csail.mit.edu",
        "train/ and val/ with a folder for each class, or data_256_standard/ and val_256/ with their lists",
        tfds="places365_small",
        classes=places365_classes,
    ),
    ListedSet(
        "dtd",
        dtd,
        ("dtd/",),
        "https://www.robots.ox.ac.uk/~vgg/data/dtd",
        "images/ and labels/train1.txt",
        tfds="dtd",
    ),
)
