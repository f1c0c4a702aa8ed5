"""Samples are known by what made them: what changes them changes their folder, and no others are taken for them."""

import json
import os

import numpy as np
import pytest

from engine import record
from engine.trained import Trained
from modes import sample
from tests.modes.exact import digits_config, exact_experiment


def config(**groups):
    return digits_config(model={"num_classes": 10}, sampling={"nfe": 3, "method": "ddpm"}, **groups)


def experiment(c, folder=None, weight=0.0, checkpoint="exact"):
    """An exact network that has a parameter to be told by; the result folder is named by what decides the samples."""
    made = exact_experiment(c, folder)
    made.paths.result_folder = None if folder is None else str(folder)
    made.trained = Trained({"Dense_0": {"kernel": np.full(3, weight, np.float32)}}, "ema", checkpoint)
    return made


def prepare(made):
    return record.prepare(made.recipe, made.made_by(), made.sample_folder())


CHANGES = {
    "parameters": {"weight": 1e-7},
    "guidance": {"sampling": {"guidance": 2.0}},
    "classes": {"sampling": {"labels": "3,5"}},
    "respacing": {"sampling": {"respacing": "10"}},
    "clipping": {"sampling": {"clip_denoised": False}},
    "process": {"sde": {"beta_max": 19.0}},
    "seed": {"seed": 7},
    "size": {"data": {"image_size": 16}},
    "range": {"data": {"centered": False}},
    "labels of time": {"training": {"continuous": False}},
}


def changed(weight=0.0, seed=42, **groups):
    c = config()
    c.seed = seed
    for group, keys in groups.items():
        c[group].update(keys)
    return experiment(c, weight=weight)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_samples_changes_their_folder(change):
    assert changed(**CHANGES[change]).sample_folder() != changed().sample_folder()


def test_what_does_not_change_them_does_not():
    same = changed(sampling={"trajectory": True}, eval={"num_samples": 99, "batch_size": 4}).sample_folder()
    assert same == changed().sample_folder()


def test_low_resolution_images_are_told_by_what_they_are(tmp_path):
    """Another file of the same path is other images; the same images at another path are the same."""

    def folder(path, seed):
        np.savez(path, np.random.default_rng(seed).integers(0, 256, (3, 4, 4, 1), np.uint8))
        c = digits_config(model={"super_resolution": True}, data={"low_res_size": 4, "low_res_path": str(path)})
        return experiment(c).sample_folder()

    first = folder(tmp_path / "low.npz", 0)
    assert folder(tmp_path / "low.npz", 1) != first and folder(tmp_path / "moved.npz", 0) == first


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """The folder of 20 samples, in batches of 8."""
    folder = tmp_path_factory.mktemp("sampled")
    sample.run(experiment(config(eval={"num_samples": 20}), folder))
    return folder


def contents(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("samples_*.npz")}


def test_samples_of_other_parameters_are_neither_taken_nor_lost(sampled):
    before = contents(sampled)
    with pytest.raises(ValueError, match=r"holds samples made with another parameters; .* --result_folder") as refused:
        sample.run(experiment(config(eval={"num_samples": 20}), sampled, weight=1.0))
    assert "\n" not in str(refused.value) and contents(sampled) == before


def test_the_same_parameters_at_another_path_are_the_same(sampled):
    before = contents(sampled)
    fields = sample.run(experiment(config(eval={"num_samples": 8}), sampled, checkpoint="moved/elsewhere"))
    assert len(fields["parameters"]) == 64 and fields["nfe"] == 3
    assert {name: found for name, found in contents(sampled).items() if name != "samples_8x8x8x1.npz"} == before


def test_samples_go_on_in_batches_of_another_size(sampled, tmp_path):
    """Files stay as large as they were begun. Images may differ in the last bits of their sums: by a grey level."""
    for path in sampled.glob("sampl*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    kept = (tmp_path / "samples_00001.npz").stat().st_mtime_ns
    for size, n in ((4, 29), (32, 40)):
        sample.run(experiment(config(eval={"num_samples": n, "batch_size": size}), tmp_path))
    assert (tmp_path / "samples_00001.npz").stat().st_mtime_ns == kept
    sample.run(experiment(config(eval={"num_samples": 40}), tmp_path / "whole"))
    for k in range(5):
        images, wanted = (
            np.load(folder / f"samples_{k:05d}.npz")["samples"] for folder in (tmp_path, tmp_path / "whole")
        )
        assert len(images) == len(wanted) == 8 and np.abs(images.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("case", ["absent", "older", "damaged"])
def test_samples_of_unknown_origin_are_not_taken(case, sampled, tmp_path):
    path = tmp_path / "sampling.json"
    (tmp_path / "samples_00000.npz").write_bytes((sampled / "samples_00000.npz").read_bytes())
    fields = json.loads((sampled / "sampling.json").read_text())
    older = json.dumps({key: value for key, value in fields.items() if key not in ("parameters", "shape")})
    text = {"older": older, "damaged": json.dumps(fields)[:100]}
    if case != "absent":
        path.write_text(text[case])
    message = {
        "absent": "samples_00000.npz and does not say by which parameters, seed, .*: delete it",
        "older": "does not say by which parameters, shape: delete it",
        "damaged": r"sampling.json is damaged \(.*delete",
    }
    with pytest.raises(ValueError, match=message[case]):
        sample.run(experiment(config(), tmp_path))


def test_damaged_samples_are_made_again(sampled, tmp_path):
    """Cut short, and with a changed byte in the middle."""
    for path in sampled.glob("sampl*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = contents(tmp_path)
    first, second = (tmp_path / f"samples_0000{k}.npz" for k in (0, 1))
    first.write_bytes(first.read_bytes()[:200])
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 255
    second.write_bytes(bytes(data))
    kept = (tmp_path / "samples_00002.npz").stat().st_mtime_ns
    sample.run(experiment(config(eval={"num_samples": 20}), tmp_path))
    for name in ("samples_00000.npz", "samples_00001.npz"):
        with np.load(tmp_path / name) as made, np.load(sampled / name) as wanted:
            np.testing.assert_array_equal(made["samples"], wanted["samples"])
    assert (tmp_path / "samples_00002.npz").stat().st_mtime_ns == kept and contents(tmp_path).keys() == whole.keys()


def test_what_is_refused_is_noted_nowhere(tmp_path):
    endless, guided = config(), config()
    endless.seed = 2**64
    guided.sampling.guidance = np.nan
    for c, message in ((endless, "config.seed=18446744073709551616 must lie in"), (guided, "guidance=nan must be")):
        with pytest.raises(ValueError, match=message):
            prepare(experiment(c, tmp_path))
        assert not [*tmp_path.iterdir()]


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=f"cannot write {folder}{os.sep}sampling.json"):
            prepare(experiment(config(), folder))
