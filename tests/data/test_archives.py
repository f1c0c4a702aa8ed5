"""The published files of data sets, made up in their layouts, give the images and labels that went into them."""

import gzip
import hashlib
import io
import pickle
import struct
import sys
import tarfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from scipy.io import savemat

import data
from data.archives import Archive
from engine.experiment import Experiment
from files.published import Download, download

SIZES = {"train": 20, "test": 6}
COLOUR, GREY = (32, 32, 3), (28, 28, 1)
SHAPES = {"cifar10": COLOUR, "cifar100": COLOUR, "svhn": COLOUR, "mnist": GREY, "fashion_mnist": GREY}
CLASSES = {"cifar100": 100, "cifar100_coarse": 20}


def examples(name, split):
    """(images, labels) that are different for each data set and split."""
    rng = np.random.default_rng([*name.encode(), len(split)])
    n = SIZES[split]
    return rng.integers(0, 256, (n, *SHAPES[name]), np.uint8), rng.integers(0, CLASSES.get(name, 10), n)


def write_cifar100(folder):
    """One batch for each split, with both labels and the names of the files, packed."""
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        for split in SIZES:
            images, labels = examples("cifar100", split)
            content = {
                b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1),
                b"fine_labels": labels.tolist(),
                b"coarse_labels": coarse(labels).tolist(),
                b"filenames": [b"image.png"] * len(images),
            }
            packed = pickle.dumps(content, protocol=2)
            entry = tarfile.TarInfo(f"cifar-100-python/{split}")
            entry.size = len(packed)
            archive.addfile(entry, io.BytesIO(packed))


def coarse(labels):
    """Made-up classes of classes."""
    return (labels + 3) % 20


def write_cifar10(folder, protocol=2, unpack=False):
    """Batches of planes with the keys that Python 2 left; packed in one archive or as a folder."""
    batches = {"test_batch": examples("cifar10", "test")}
    images, labels = examples("cifar10", "train")
    batches |= {f"data_batch_{i + 1}": (images[4 * i : 4 * i + 4], labels[4 * i : 4 * i + 4]) for i in range(5)}
    path = folder / "cifar-10-batches-py"
    path.mkdir(parents=True)
    for name, (images, labels) in batches.items():
        content = {b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), b"labels": labels.tolist()}
        (path / name).write_bytes(pickle.dumps(content, protocol=protocol))
    if not unpack:
        with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(path, path.name)
        for file in path.iterdir():
            file.unlink()
        path.rmdir()


def write_idx(folder, name, pack=gzip.compress, suffix=".gz"):
    """The four files of MNIST or Fashion-MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = examples(name, split)
        arrays = {"images-idx3": images[..., 0], "labels-idx1": labels.astype(np.uint8)}
        for kind, array in arrays.items():
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / f"{prefix}-{kind}-ubyte{suffix}").write_bytes(pack(head + array.tobytes()))


def write_kaggle(folder):
    """Names with a dot, and folders that are named like the one file in them."""
    write_idx(folder / "once", "mnist", bytes, "")
    for file in sorted((folder / "once").iterdir()):
        target = folder / file.name / file.name if "labels" in file.name else folder / file.name.replace("-idx", ".idx")
        target.parent.mkdir(exist_ok=True)
        file.rename(target)


def write_npz(folder):
    """MNIST in one file, as Keras has it."""
    arrays = {}
    for split in SIZES:
        images, labels = examples("mnist", split)
        arrays |= {f"x_{split}": images[..., 0], f"y_{split}": labels.astype(np.uint8)}
    np.savez(folder / "mnist.npz", **arrays)


def write_svhn(folder):
    """One MATLAB file for each split; the digit 0 is 10."""
    for split in SIZES:
        images, labels = examples("svhn", split)
        digits = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(folder / f"{split}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": digits})


LAYOUTS = {
    "python": ("cifar10", write_cifar10),
    "python, protocol 5": ("cifar10", lambda folder: write_cifar10(folder, protocol=5)),
    "python, unpacked": ("cifar10", lambda folder: write_cifar10(folder, unpack=True)),
    "python, 100 classes": ("cifar100", write_cifar100),
    "python, 20 classes": ("cifar100_coarse", write_cifar100),
    "idx": ("mnist", lambda folder: write_idx(folder, "mnist")),
    "idx, unpacked": ("mnist", lambda folder: write_idx(folder, "mnist", bytes, "")),
    "idx, torchvision's folder": ("mnist", lambda folder: write_idx(folder / "MNIST" / "raw", "mnist")),
    "idx, Kaggle's names": ("mnist", write_kaggle),
    "idx, fashion": ("fashion_mnist", lambda folder: write_idx(folder, "fashion_mnist")),
    "npz": ("mnist", write_npz),
    "mat": ("svhn", write_svhn),
}


def load(name, split="train", **settings):
    return data.get_dataset(ConfigDict({"data": {"dataset": name, **settings}}), split)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("split", SIZES)
def test_images_and_labels_come_back(layout, split, tmp_path):
    name, write = LAYOUTS[layout]
    write(tmp_path)
    source = load(name, split, path=str(tmp_path))
    images, labels = examples(name.removesuffix("_coarse"), split)
    np.testing.assert_array_equal(source.arrays()[0], images)
    np.testing.assert_array_equal(source.arrays()[1], coarse(labels) if name.endswith("coarse") else labels)
    n = CLASSES.get(name, 10)
    assert (source.name, source.num_classes, len(set(source.class_names))) == (name, n, n)
    assert "tensorflow" not in sys.modules


def test_every_published_data_set_has_a_layout_here():
    assert {name for name, _ in LAYOUTS.values()} == {published.name for published in data.PUBLISHED.values()}


def test_the_image_rule_applies(tmp_path):
    write_idx(tmp_path, "mnist")
    source = load("mnist", path=str(tmp_path), image_size=14, num_channels=3)
    grey = Image.fromarray(examples("mnist", "train")[0][0, ..., 0])
    boxes = np.asarray(grey.resize((14, 14), Image.Resampling.BOX))
    np.testing.assert_array_equal(source.arrays()[0][0], np.repeat(boxes[..., None], 3, -1))


def test_the_path_may_be_the_file_or_the_folder_it_was_unpacked_to(tmp_path):
    write_cifar10(tmp_path / "packed")
    write_cifar10(tmp_path / "unpacked", unpack=True)
    for path in ("packed/cifar-10-python.tar.gz", "unpacked/cifar-10-batches-py"):
        assert len(load("cifar10", "test", path=str(tmp_path / path))) == SIZES["test"]


def test_another_content_than_the_published_is_said(tmp_path):
    write_svhn(tmp_path)
    (note,) = load("svhn", path=str(tmp_path)).notes
    digest = hashlib.sha256((tmp_path / "train_32x32.mat").read_bytes()).hexdigest()
    assert "is not the published file" in note and digest[:16] in note


@pytest.mark.parametrize(
    ("name", "file"), [("mnist", "train-images"), ("cifar10", "cifar-10"), ("svhn", "train_32x32")]
)
def test_absent_and_damaged_files_are_named(name, file, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"does not hold {file}.*data.dataset=folder"):
        load(name, path=str(tmp_path))
    {"mnist": lambda folder: write_idx(folder, "mnist"), "cifar10": write_cifar10, "svhn": write_svhn}[name](tmp_path)
    (path,) = tmp_path.glob(f"{file}*")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"{path.name}.*not as {name} is published, or damaged"):
        load(name, path=str(tmp_path))


class Command:
    """Would create a file if its pickle were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    write_cifar10(tmp_path, unpack=True)
    content = pickle.dumps({b"data": Command(tmp_path / "executed"), b"labels": []}, protocol=2)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match="asks for .*open, which is no part of an array"):
        load("cifar10", "test", path=str(tmp_path))
    assert not (tmp_path / "executed").exists()


def experiment(name):
    from configs.default import get_config

    config = get_config()
    config.data.update(dataset=name, image_size=0, num_channels=0)
    return Experiment(config)


def test_what_is_not_there_is_downloaded_once_and_read(tmp_path, monkeypatch):
    """From a web folder that is a folder here, by files whose checksums are its own."""
    home = tmp_path / "home"
    home.mkdir()
    write_svhn(home)
    own = {
        split: (Archive(path.name, home.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()),)
        for split in SIZES
        for path in [home / f"{split}_32x32.mat"]
    }
    published = data.PUBLISHED["svhn"]
    layout = published.layouts[0]._replace(files=own)
    monkeypatch.setitem(data.PUBLISHED, "svhn", published._replace(layouts=(layout,)))
    monkeypatch.setitem(data.DATASETS, "svhn", lambda d, s: data.published_source(data.PUBLISHED["svhn"], d, s))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = experiment("svhn").dataset("test")
    np.testing.assert_array_equal(source.arrays()[0], examples("svhn", "test")[0])
    assert source.notes == () and not (tmp_path / "cache/linnet/data/svhn/train_32x32.mat").exists()
    (home / "test_32x32.mat").unlink()
    assert len(experiment("svhn").dataset("test")) == SIZES["test"]


def test_without_a_network_the_message_says_where_the_file_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ((archive, path),) = data.missing_files(experiment("cifar10").config)
    absent = Download(archive.name, (tmp_path / "nowhere").as_uri(), archive.sha256)
    with pytest.raises(RuntimeError, match=f"cannot download .*place the file at {path}"):
        download(absent, path, f"place the file at {path}")
    assert path == tmp_path / "linnet/data/cifar10/cifar-10-python.tar.gz" and not path.exists()
