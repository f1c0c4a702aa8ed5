"""Classes by name: from the data through training, checkpoint and export to samples; what is refused before work."""

import json

import numpy as np
import pytest
from PIL import Image

from configs.default import get_config
from engine import classes
from engine.experiment import Experiment
from modes import export, train
from tests.modes.exact import digits_config, exact_experiment

GREYS = {"ant": 40, "bee": 120, "cat": 200}


def write(folder, counts):
    """Flat pictures of GREYS[class], `counts` of each."""
    for name, n in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.full((8, 8), GREYS[name.split("/")[-1]], np.uint8)).save(folder / name / f"{i}.png")
    return folder


def config(path, num_classes=-1, **training):
    c = get_config("vp", "unet")
    c.data.update(dataset="folder", path=str(path), image_size=8, num_channels=1, random_flip=False)
    c.model.update(num_channels=32, channel_mult=(1,), attention_resolutions=(), num_res_blocks=1)
    c.model.num_classes = num_classes
    c.training.update(batch_size=4, n_iters=2, log_freq=1, eval_freq=1, snapshot_sampling=False, **training)
    c.sampling.nfe = 2
    return c


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder of two classes without a test split, workdir of two steps on it)."""
    folder = write(tmp_path_factory.mktemp("data"), {"bee": 2, "cat": 2})
    workdir = tmp_path_factory.mktemp("run")
    train.run(Experiment(config(folder), workdir=str(workdir)))
    return folder, workdir


def test_training_without_a_test_split_ends_and_keeps_the_table(trained, tmp_path, capsys):
    folder, workdir = trained
    stored = json.loads((workdir / "config.json").read_text())
    assert stored["data"]["classes"] == ["bee", "cat"] and stored["model"]["num_classes"] == 2
    experiment = Experiment(config(folder), workdir=str(workdir))
    assert experiment.trained.path.endswith("/2") and experiment.classes == ("bee", "cat")
    experiment.paths.result_folder = str(tmp_path)
    export.run(experiment)
    exported = Experiment(config("nowhere"), ckpt=str(tmp_path))  # the data need not be there
    assert exported.classes == ("bee", "cat") and exported.config.model.num_classes == 2


def test_a_new_folder_does_not_renumber_the_others(trained, tmp_path):
    """By themselves these folders are numbered ant 0, bee 1, cat 2."""
    _, workdir = trained
    with pytest.raises(ValueError, match="classes that the network does not know: ant; it knows bee, cat"):
        train.run(Experiment(config(write(tmp_path / "three", {"ant": 1, "bee": 1, "cat": 1})), str(workdir)))
    (tmp_path / "one").mkdir()
    test = write(tmp_path / "one" / "set", {"train/cat": 1, "train/bee": 1, "test/cat": 3})
    source = Experiment(config(test), workdir=str(workdir)).examples("test")
    assert source.arrays()[1].tolist() == [1, 1, 1] and source[0]["label"] == 1


def test_labels_of_other_data_are_mapped_by_name(tmp_path):
    c = config(write(tmp_path, {"ant": 1, "bee": 1}), num_classes=3)
    c.data.classes = ("cat", "bee", "ant")
    source = Experiment(c).examples()
    images, labels = source.arrays()
    assert labels.tolist() == [2, 1] and source.class_names == ("cat", "bee", "ant")
    assert [source.read(i)[1] for i in range(2)] == [2, 1]
    np.testing.assert_array_equal(images[:, 0, 0, 0], [GREYS["ant"], GREYS["bee"]])


def test_start_says_the_table_and_that_there_are_no_test_images(trained, tmp_path, capsys):
    train.run(Experiment(config(trained[0]), workdir=str(tmp_path / "run")))
    said = capsys.readouterr().out
    assert "classes: 0 = bee, 1 = cat" in said
    assert "no eval_loss" in said and "has no test images" in said


@pytest.mark.parametrize("number", [2, 5])
def test_a_wrong_number_is_said_with_the_right_one(number, tmp_path):
    experiment = Experiment(config(write(tmp_path, {"ant": 1, "bee": 1, "cat": 1}), number))
    with pytest.raises(ValueError, match=f"num_classes={number}, but .* has 3 classes, ant, bee, cat: set .*=3, or -1"):
        experiment.examples()


def test_data_without_labels_are_refused_for_a_network_with_classes(tmp_path):
    write(tmp_path, {"ant": 2})
    for number in (3, -1):
        with pytest.raises(ValueError, match="sort them into a folder for each class.*num_classes=0"):
            Experiment(config(tmp_path, number)).examples()


def test_other_networks_do_not_ask_for_labels(tmp_path):
    experiment = Experiment(config(write(tmp_path, {"ant": 2}), 0))
    assert experiment.examples() is experiment.dataset()


def chosen(labels, names=(), number=10):
    c = digits_config(model={"num_classes": number}, sampling={"labels": labels})
    c.data.classes = names
    return exact_experiment(c, "unused").conditions


def test_labels_are_chosen_by_name():
    names = ("bee", "cat", "fly, house")
    conditions = chosen("cat,0,bee", names, 3)
    np.testing.assert_array_equal(conditions.labels(np.arange(4)), [1, 0, 0, 1])
    assert conditions.names_of(np.arange(2)) == ["cat", "bee"]
    np.testing.assert_array_equal(chosen("fly, house", names, 3).labels(np.arange(2)), 2)
    numbers = ("10", "2", "30")  # folders named by numbers are meant by their names
    np.testing.assert_array_equal(chosen("30,10,1", numbers, 3).labels(np.arange(3)), [2, 0, 1])
    with pytest.raises(ValueError, match="'dgo' is no class; .*bee, cat"):
        chosen("cat,dgo", names, 3)


def test_long_tables_are_cut():
    line = classes.table(tuple(f"n{i}" for i in range(1000)))
    assert line.startswith("classes: 0 = n0, 1 = n1, ") and line.endswith("9 = n9, ... (1000 in all)")


def test_names_of_classes_are_found_however_they_are_spaced_and_accented():
    """The folder of a Mac has its accent as a character of its own, and one begins with a space."""
    names = ("cafe\u0301", " tea", "2", "soup")
    assert chosen(" soup , caf\u00e9, tea,2 ,1", names, 4).labels(np.arange(5)).tolist() == [3, 0, 1, 2, 1]
