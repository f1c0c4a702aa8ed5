"""What --mode=sample leaves in its folder, with exact networks: archives, pictures, classes, low-resolution images."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import samplers
from devices import parallel
from engine import trajectories
from engine.experiment import Experiment
from engine.generate import Generator
from evaluation.archive import write_archive
from evaluation.grid import CAPTION
from evaluation.images import iterate_images
from modes import sample
from tests.modes.exact import CLASS_MEANS, by_low_res, digits_config, exact_experiment, held_out_images
from training.conditions import block_means

SPREAD = 1e-3  # samples are close to what the network was told: 0.03 in [-1, 1]


def config():
    c = digits_config(model={"num_classes": 10}, sampling={"nfe": 8})
    c.eval.num_samples = 20
    return c


def upsampler(**data):
    c = digits_config(model={"super_resolution": True}, sampling={"nfe": 8})
    c.data.update(low_res_size=4, **data)
    return c


def archive(folder, n):
    with np.load(folder / f"samples_{n}x8x8x1.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """(the folder of 20 samples in batches of 8, the same after going on to 29)."""
    folder, c = tmp_path_factory.mktemp("sampled"), config()
    sample.run(exact_experiment(c, folder, spread=SPREAD))
    first, kept = archive(folder, 20), (folder / "samples_00001.npz").stat().st_mtime_ns
    c.eval.num_samples = 29
    sample.run(exact_experiment(c, folder, spread=SPREAD))
    assert (folder / "samples_00001.npz").stat().st_mtime_ns == kept
    return folder, first


def test_the_archive_is_all_batches_with_their_classes(sampled):
    folder, first = sampled
    assert first.keys() == {"arr_0", "arr_1"} and first["arr_0"].shape == (20, 8, 8, 1)
    np.testing.assert_array_equal(first["arr_1"], np.arange(20) % 10)
    means = first["arr_0"].mean((1, 2, 3)) / 127.5 - 1
    np.testing.assert_allclose(means, CLASS_MEANS[first["arr_1"]], atol=5 * np.sqrt(SPREAD / 64))


def test_a_short_last_batch_is_made_again_when_more_are_asked_for(sampled):
    folder, first = sampled
    batches = [np.load(path)["samples"] for path in sorted(folder.glob("samples_?????.npz"))]
    assert [len(batch) for batch in batches] == [8, 8, 8, 5]
    found = archive(folder, 29)["arr_0"]
    np.testing.assert_array_equal(found, np.concatenate(batches))
    np.testing.assert_array_equal(found[:20], first["arr_0"])


def test_the_archive_does_not_count_twice(sampled, tmp_path):
    folder, _ = sampled
    assert sum(map(len, iterate_images(folder))) == 29
    (tmp_path / "samples_29x8x8x1.npz").write_bytes((folder / "samples_29x8x8x1.npz").read_bytes())
    assert sum(map(len, iterate_images(tmp_path))) == 29


def test_an_archive_is_what_savez_writes_and_says_what_is_missing(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 2, 3, 3), np.uint8)
    write_archive(tmp_path / "ours.npz", iter([images[:4], images[4:]]), images.shape, np.arange(7))
    np.savez(tmp_path / "theirs.npz", images, np.arange(7))
    with np.load(tmp_path / "ours.npz") as ours, np.load(tmp_path / "theirs.npz") as theirs:
        for key in theirs.keys() | ours.keys():
            np.testing.assert_array_equal(ours[key], theirs[key], strict=True)
    with pytest.raises(ValueError, match="4 images of 7"):
        write_archive(tmp_path / "short.npz", [images[:4]], images.shape)
    assert not (tmp_path / "short.npz").exists()


def test_chosen_classes_are_taken_in_turn(tmp_path):
    c = config()
    c.sampling.labels = "3,5"
    told = exact_experiment(c, tmp_path).conditions(np.arange(4, 9))
    np.testing.assert_array_equal(told["label"], [3, 5, 3, 5, 3])


def panels(experiment, monkeypatch):
    """{"denoise", "progressive"}: the images (rows, columns, 8, 8, 1) that the pictures are made of."""
    found = {}

    def keep(images, path, columns, points):
        found[path.rpartition("/")[2][:-4]] = images.reshape(-1, columns, *images.shape[1:])

    monkeypatch.setattr(trajectories, "save_picture", keep)
    trajectories.save_trajectories(experiment.recipe, parallel.replicate({}), experiment.points, "folder")
    return found


METHODS = [name for name in samplers.SAMPLERS if name not in ("deis", "mldeis", "fixed_point")]


@pytest.mark.parametrize("method", METHODS)
def test_pictures_of_the_way_of_every_sampler(method, monkeypatch, tmp_path):
    """They begin at the prior and end at the samples themselves; predictions are the posterior mean of the class."""
    c = digits_config(model={"num_classes": 10}, sampling={"method": method}, sde={"schedule": "discrete"})
    if method != "ode":
        c.sampling.nfe = 24
    experiment = exact_experiment(c, tmp_path, spread=SPREAD)
    found = panels(experiment, monkeypatch)
    images = Generator(experiment.recipe, 8, trajectory=False).batch(parallel.replicate({}), 0)
    denoise, progressive = found["denoise"].astype(int), found["progressive"].astype(int)
    assert 3 <= denoise.shape[1] <= trajectories.COLUMNS + 1 and denoise.shape == progressive.shape
    assert np.abs(denoise[:, -1] - images).max() <= 1 and np.abs(progressive[:, -1] - images).max() <= 1
    keys = [jax.random.split(jax.random.fold_in(jax.random.key(c.seed), i))[0] for i in range(8)]
    prior = np.stack([jax.random.normal(key, (8, 8, 1)) for key in keys])
    if method != "pc":  # which corrects first
        assert np.abs(denoise[:, 0] - np.rint((prior.clip(-1, 1) + 1) * 127.5)).max() <= 1
    grey = np.rint((CLASS_MEANS[:8] + 1) * 127.5)
    assert np.abs(progressive[:, 0] - grey[:, None, None, None]).max() <= 2  # noise says almost nothing about the image


def test_trajectories_do_not_claim_the_folder_anew(sampled):
    folder, _ = sampled
    c = config()
    c.sampling.trajectory, c.eval.num_samples = True, 29
    sample.run(exact_experiment(c, folder, spread=SPREAD))
    rows, columns = trajectories.IMAGES, 8 + 1  # all 8 states and the image
    for name in ("denoise", "progressive"):
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.size == (columns * 9 * 8 - 8, rows * 9 * 8 - 8)  # 8 pixels and a line, enlarged 8 times
    assert json.loads((folder / "sampling.json").read_text())["nfe"] == 8


def enlarged(images):
    return images.repeat(2, axis=1).repeat(2, axis=2)


def check_upsampled(folder, wanted, n):
    """Samples are the enlarged images within 6 standard deviations."""
    x = archive(folder, n)["arr_0"] / 127.5 - 1
    assert np.abs(x - enlarged(wanted)).max() < 6 * np.sqrt(SPREAD)


def test_without_a_path_block_means_of_the_test_images_are_enlarged(tmp_path):
    c = upsampler()
    sample.run(exact_experiment(c, tmp_path, mean=by_low_res, spread=SPREAD))
    images, _ = held_out_images(c, 8)
    check_upsampled(tmp_path, block_means(images, 4), 8)
    with Image.open(tmp_path / "pairs.png") as picture:
        pairs = np.asarray(picture)
    low_res = np.rint((enlarged(block_means(images, 4)) + 1) * 127.5)
    np.testing.assert_allclose(pairs[: 8 * 8 : 8, : 8 * 8 : 8], low_res[0, ..., 0], atol=1)


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_images_of_a_path_are_enlarged_and_begin_anew_when_they_are_used_up(kind, tmp_path):
    low_res = np.random.default_rng(0).integers(64, 192, (5, 4, 4, 1), np.uint8)
    path = tmp_path / {"folder": "low", "npz": "low.npz"}[kind]
    if kind == "npz":
        np.savez(path, low_res)
    else:
        path.mkdir()
        for i, image in enumerate(low_res):
            Image.fromarray(image[..., 0]).save(path / f"{i}.png")
    sample.run(exact_experiment(upsampler(low_res_path=str(path)), tmp_path, mean=by_low_res, spread=SPREAD))
    check_upsampled(tmp_path, low_res[np.arange(8) % 5] / 127.5 - 1, 8)


def test_the_classes_of_low_resolution_images_are_theirs_unless_they_are_named(tmp_path):
    c = upsampler()
    c.model.num_classes = 10
    labels = held_out_images(c, 8)[1]
    np.testing.assert_array_equal(exact_experiment(c, tmp_path).conditions(np.arange(8))["label"], labels)
    np.savez(tmp_path / "low.npz", np.zeros((3, 4, 4, 1), np.uint8), np.array([7, 1, 4]))
    c.data.low_res_path = str(tmp_path / "low.npz")
    np.testing.assert_array_equal(exact_experiment(c, tmp_path).conditions.labels(np.arange(4)), [7, 1, 4, 7])
    c.sampling.labels = "2"
    np.testing.assert_array_equal(exact_experiment(c, tmp_path).conditions.labels(np.arange(4)), 2)


def refused(c, folder, message):
    """Conditions of config c raise ValueError."""
    with pytest.raises(ValueError, match=message):
        exact_experiment(c, folder).conditions(np.arange(1))


def test_refusals(tmp_path):
    np.savez(tmp_path / "low.npz", np.zeros((3, 2, 2, 1), np.uint8))
    refused(upsampler(low_res_path=str(tmp_path / "low.npz")), tmp_path, r"images of \(2, 2, 1\), .* \(4, 4, 1\)")
    np.savez(tmp_path / "low.npz", np.zeros((3, 4, 4, 1), np.uint8))
    c = upsampler(low_res_path=str(tmp_path / "low.npz"))
    c.model.num_classes = 10
    refused(c, tmp_path, "name those of the low-resolution images by config.sampling.labels")
    c.model.super_resolution = False
    refused(c, tmp_path, "low_res_path is for networks with config.model.super_resolution=True")
    for labels, message in (("3,x", "class numbers like 3,5"), ("10", "must lie in 0 to 9")):
        c = config()
        c.sampling.labels = labels
        refused(c, tmp_path, message)
    c.model.num_classes = 0
    refused(c, tmp_path, "config.sampling.labels needs a class-conditional network")


def test_kept_steps_name_the_folder_in_place_of_nfe(tmp_path):
    """nfe has no effect beside respacing: it neither names the samples nor tells two folders of them apart."""
    names = set()
    for nfe in (50, 80):
        c = digits_config(sampling={"method": "ddim", "respacing": "quad20", "nfe": nfe})
        experiment = exact_experiment(c, tmp_path)
        experiment.paths.result_folder = None
        names.add(experiment.sample_folder())
        assert "nfe" not in experiment.made_by()["sampling"]
        assert experiment.sampler_with(nfe=5, respacing=None).nfe == 5
    (name,) = names
    assert "ddim_nfe20_ema" in name
    with pytest.raises(ValueError, match="sampling.nfe means nothing beside config.sampling.respacing"):
        Experiment(c, overrides=("sampling.respacing", "sampling.nfe"))


def test_the_grid_draws_from_more_than_one_batch(sampled):
    """29 images in batches of 8: a sheet of six columns, and as many cells as images."""
    folder, _ = sampled
    images = archive(folder, 29)["arr_0"]
    with Image.open(folder / "grid.png") as picture:
        sheet = np.asarray(picture)
    height = 9 * 8 + CAPTION  # 8 pixels and a line, enlarged 8 times, and the name of the class
    for i, image in enumerate(images[..., 0]):
        row, column = divmod(i, 6)
        cell = sheet[row * height :, column * 9 * 8 :][:64:8, :64:8]
        np.testing.assert_array_equal(cell, image)


def test_single_images_are_written_where_they_are_asked_for(tmp_path):
    c = config()
    c.eval.png = True
    sample.run(exact_experiment(c, tmp_path, spread=SPREAD))
    images, names = archive(tmp_path, 20)["arr_0"], sorted(path.name for path in (tmp_path / "png").iterdir())
    assert names == [f"{i:06d}.png" for i in range(20)]
    for name, image in zip(names, images, strict=True):
        with Image.open(tmp_path / "png" / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])
    assert sum(map(len, iterate_images(tmp_path))) == 20
