"""U-Nets of improved-diffusion and DDDM through the loader: what fits, and what does not."""

import lzma

import jax
import numpy as np
import pytest
from PIL import Image

import interop
from configs.dddm.cifar10_vp import get_config as get_cifar10
from configs.default import get_config
from data import transforms
from engine.estimates import first_estimates
from engine.experiment import Experiment
from files import torch_files
from modes import train
from training.keeper import make_keeper


@pytest.fixture(scope="module")
def path(golden, tmp_path_factory):
    path = tmp_path_factory.mktemp("unet") / "model.pt"
    source = golden.path("torch/idm_unet_a/ema_0.9999_000100.pt.xz")
    path.write_bytes(lzma.decompress(source.read_bytes()))
    return path


def config(**model):
    config = get_config("vp", "unet")
    config.data.image_size = 16
    config.model.update(
        num_channels=32, channel_mult=(1, 2), attention_resolutions=(8,), num_classes=10, learn_sigma=True
    )
    config.model.update(model)
    return config


@pytest.mark.parametrize(
    ("name", "kind"), [("ema_0.9999_000100.pt", "ema"), ("model000100.pt", "raw"), ("model.pt", "unknown")]
)
def test_only_the_name_says_which_parameters_a_file_holds(path, tmp_path, name, kind):
    (tmp_path / name).symlink_to(path)
    assert interop.load_with_kind(tmp_path / name, config())[1] == kind
    assert f"{kind} " in interop.report(tmp_path / name, config())


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({"num_classes": 0}, "num_classes=10"),
        ({"learn_sigma": False}, "learn_sigma=True"),
        ({"num_channels": 64}, "num_channels=32"),
        ({"num_res_blocks": 1}, "num_res_blocks=2"),
        ({"channel_mult": (1, 2, 2)}, "channel_mult='(1,2)'"),
        ({"use_scale_shift_norm": False}, "use_scale_shift_norm=True"),
        ({"attention_resolutions": (16, 8)}, r"attention_resolutions='(8,)'"),
    ],
)
def test_the_key_that_differs_is_named(path, change, flags):
    assert f"set --config.model.{flags} (" in interop.report(path, config(**change))


def test_a_file_of_dddm_needs_its_prediction(dddm):
    path, wanted = dddm
    other = wanted.copy_and_resolve_references()
    other.model.prediction = "eps"
    assert "set --config.model.prediction=direct (" in interop.report(path, other)


def test_under_the_config_of_another_network(path):
    report = interop.report(path, get_config("vp", "ncsnpp"))
    assert "config.model.name is 'ncsnpp', the file needs 'unet'; " in report
    assert report.splitlines()[1].endswith("or one of configs/iddpm/")


def test_the_config_of_the_network_loads_it(path):
    assert interop.detect(path).startswith("improved-diffusion")
    params = interop.load(path, config())
    assert params["class_embedding"].shape == (10, 128)
    assert params["ResBlock_2"]["Conv_2"]["kernel"].shape == (1, 1, 32, 64)
    assert "all names and shapes fit" in interop.report(path, config())


@pytest.mark.parametrize(
    ("change", "name"), [({"num_classes": 0}, "class_embedding"), ({"learn_sigma": False}, "Conv_3/kernel")]
)
def test_another_config_is_refused_with_the_arrays_that_differ(path, change, name):
    with pytest.raises(ValueError, match="does not fit the config") as error:
        interop.load(path, config(**change))
    assert name in str(error.value)


def test_arrays_are_turned_and_not_reordered(path):
    """Sums do not change under transposition: every array of the file is found again."""
    theirs = sorted(float(np.float64(tensor.array()).sum()) for tensor in torch_files.read(path).values())
    leaves = interop.FORMATS[interop.detect(path)].read(path, None, "raw").leaves.values()
    np.testing.assert_allclose(sorted(float(np.float64(leaf).sum()) for leaf in leaves), theirs, rtol=1e-12)


@pytest.fixture(scope="module")
def dddm(golden, tmp_path_factory):
    """A checkpoint of DDDM's own code that remembers four images of 8 x 8, its config, and four images."""
    folder = tmp_path_factory.mktemp("dddm")
    path = folder / "model0006.pt"
    path.write_bytes(lzma.decompress(golden.path("torch/dddm_unet_ca/model0006.pt.xz").read_bytes()))
    x_bar = torch_files.read(path)["x_bar"].array().transpose(0, 2, 3, 1)
    for i, image in enumerate(transforms.to_uint8(x_bar)):
        Image.fromarray(image).save(folder / f"{i}.png")
    config = get_cifar10()
    config.training.memory = "host"
    config.data.update(dataset="folder", path=str(folder), image_size=8)
    config.model.update(num_channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(4,))
    return path, config


def keeper_of(experiment, values):
    return make_keeper(experiment.config.training, values, (len(experiment.dataset()), *experiment.shape))


def test_training_goes_on_from_a_file_of_dddm_with_what_it_remembers(dddm, tmp_path):
    path, config = dddm
    experiment = Experiment(config, workdir=str(tmp_path), ckpt=str(path))
    state, estimates, position, began_from = train.start(experiment, experiment.checkpoints())
    rows = keeper_of(experiment, estimates).estimates(None)
    x_bar = torch_files.read(path)["x_bar"].array()
    assert x_bar.shape == (4, 3, 8, 8) and x_bar.std() > 0.1
    np.testing.assert_array_equal(rows, x_bar.transpose(0, 2, 3, 1).astype(np.float16))
    loaded = interop.load(path, config)
    for ours, theirs in zip(jax.tree.leaves(state.params), jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert position == 0 and int(state.step) == 0 and began_from == str(path)


def test_estimates_of_other_images_are_refused(dddm, tmp_path):
    path, config = dddm
    config = config.copy_and_resolve_references()
    config.data.image_size = 16
    experiment = Experiment(config, workdir=str(tmp_path), ckpt=str(path))
    with pytest.raises(ValueError, match=r"have the shape \(4, 8, 8, 3\), the training images \(4, 16, 16, 3\)"):
        keeper_of(experiment, first_estimates(config, experiment.dataset(), experiment.shape, str(path)))


def test_the_report_names_what_is_left_out(dddm):
    path, config = dddm
    assert "; left out: x_bar; all names and shapes fit the config" in interop.report(path, config)


def test_other_files_remember_nothing(path):
    assert interop.estimates(path) is None


def test_estimates_in_another_order_are_refused(dddm, tmp_path, monkeypatch):
    path, config = dddm
    experiment = Experiment(config, workdir=str(tmp_path), ckpt=str(path))
    found = interop.estimates(path)
    monkeypatch.setattr(interop, "estimates", lambda path: found[::-1])
    with pytest.raises(ValueError, match="they are of other images, or in another order"):
        keeper_of(experiment, first_estimates(config, experiment.dataset(), experiment.shape, str(path)))
