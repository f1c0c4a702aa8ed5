"""Two processes deal the images out: files and numbers are those of one process, and either goes on after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from devices import distributed, processes
from engine import batches
from engine.parts import Parts
from evaluation.statistics import load_statistics
from modes import check, edit, encode, fid_stats, inpaint, interpolate, sample
from modes import eval as eval_mode
from tests.conftest import ROOT
from tests.modes.exact import digits_config, exact_experiment

N = 20
FEW, COMPLETIONS = 7, 3


def config():
    """Classes, so that the agreement of labels is measured as well; N images in batches of 8: 8, 8 and 4."""
    c = digits_config(model={"num_classes": 10}, sampling={"nfe": 4}, sde={"schedule": "discrete"})
    c.eval.update(extractor="digits", num_samples=N, num_images=N, likelihood="bound", flow_tolerance=1e-2)
    return c


def measure(folder):
    """What each verb leaves, in folders of `folder`."""
    bits, latents = config(), config()
    bits.sampling.update(method="ddpm", respacing="4")
    latents.sampling.update(method="ddim", eta=0.0)
    check.run(exact_experiment(config(), folder / "check"))
    fid_stats.run(exact_experiment(config(), folder / "stats.npz"))
    encode.run(exact_experiment(latents, folder / "encode"))
    interpolate.run(exact_experiment(latents, folder / "interpolate"))
    few = config()
    few.eval.num_images = FEW
    few.inpaint.completions = COMPLETIONS
    few.edit.strength = (0.3,)
    few.sampling.method = "gddim"
    inpaint.run(exact_experiment(few, folder / "inpaint"))
    edit.run(exact_experiment(few, folder / "edit"))
    eval_mode.run(exact_experiment(bits, folder / "eval"))


def work(folder):
    """In each of the two processes: what they tell each other, and their part of the work."""
    distributed.initialize()
    p = processes.index()
    rows = np.arange(6.0 * p).reshape(-1, 2) + np.pi
    found = processes.gather({"x": rows, "y": np.full(len(rows), p, np.int64)} if p else {})
    assert found[0] == {} and found[1]["y"].tolist() == [1] * 3 and found[1]["y"].dtype == np.int64
    np.testing.assert_array_equal(found[1]["x"], np.arange(6.0).reshape(-1, 2) + np.pi)
    assert processes.everyones("x" * 2000 * p) == ["", "x" * 2000] and processes.agreed(p) == 0
    with pytest.raises(ValueError, match="the processes differ in their hats"):
        processes.check_same("their hats", p)
    with processes.alone():
        assert processes.count() == 1 and processes.everyones(p) == [p]
    images_from, save = sample.images_from, Parts.save
    drawn, kept = [], []
    sample.images_from = lambda generator, params, first, n: (
        drawn.append(first) or images_from(generator, params, first, n)
    )
    over_batches, shares = batches.over_batches, []
    batches.over_batches = lambda mapped, examples, *rest: (
        shares.append(len(examples["index"])) or over_batches(mapped, examples, *rest)
    )
    Parts.save = lambda parts, k, arrays: kept.append(k) or save(parts, k, arrays)
    measure(Path(folder))
    print(f"drew {drawn}, measured {kept}, shares {shares}")
    processes.wait()


def slurm(process):
    """The variables of a step of two processes on one host, by which JAX finds them; a job has a port of its own."""
    numbers = {"JOB_ID": os.getpid(), "NTASKS": 2, "PROCID": process, "LOCALID": process}
    variables = {f"SLURM_{name}": str(value) for name, value in numbers.items()}
    return variables | {"SLURM_STEP_NODELIST": "localhost", "LINNET_DISTRIBUTED": "auto"}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(folder of two processes, folder of one, what the two said)."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    code = f"from tests.modes.test_processes import work; work({str(two)!r})"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | slurm(p),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for p in range(2)
    ]  # fmt: skip
    measure(one)
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    return two, one, said


def arrays(path):
    with np.load(path) as found:
        return dict(found)


def close(a, b):
    """Numbers of two reports within 1e-6, everything else equal."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            close(a[key], b[key])
    else:
        assert a == (pytest.approx(b, rel=1e-6, abs=1e-6) if isinstance(b, float) else b)


def test_images_are_identical(both):
    two, one, _ = both
    for k in range(3):
        name = f"check/samples_{k:05d}.npz"
        np.testing.assert_array_equal(arrays(two / name)["samples"], arrays(one / name)["samples"])
    for name in (f"check/samples_{N}x8x8x1.npz", "encode/latents.npz", "eval/bound.npz"):
        found, wanted = arrays(two / name), arrays(one / name)
        for key, values in wanted.items():
            np.testing.assert_allclose(found[key], values, rtol=1e-6, atol=1e-6 * np.abs(values).max(), err_msg=name)
    for name in ("inpaint/completions.npz", "edit/edited.npz"):
        found, wanted = arrays(two / name), arrays(one / name)
        for key, values in wanted.items():
            np.testing.assert_array_equal(found[key], values, err_msg=name)
    for name in ("check/grid.png", "encode/encode.png", "interpolate/interpolate.png", "inpaint/inpaint.png"):
        assert (two / name).read_bytes() == (one / name).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "check/report.json",
        "check/sampling.json",
        "encode/encode.json",
        "eval/eval.json",
        "inpaint/inpaint.json",
        "edit/edit.json",
    ],
)
def test_numbers_are_those_of_one_process(both, name):
    two, one, _ = both
    close(*(json.loads((folder / name).read_text()) for folder in (two, one)))


def test_statistics_are_those_of_one_process(both):
    """Sums of 1500 features in another order; the features themselves in the order of the images."""
    two, one, _ = both
    found, wanted = (load_statistics(folder / "stats.npz") for folder in (two, one))
    assert found.n == wanted.n == 1500 and found.fingerprint == wanted.fingerprint
    np.testing.assert_array_equal(found.features, wanted.features)
    np.testing.assert_allclose(found.sigma, wanted.sigma, rtol=0, atol=1e-12 * np.abs(wanted.sigma).max())


def test_nothing_is_made_twice_and_the_first_reports(both):
    """Three files of samples, and three batches each of encode and eval."""
    _, _, (first, second) = both
    assert "drew [0, 16], measured [0, 2, 0, 2], shares [11, 4]" in first  # of 7 x 3 completions, and of 7 edited
    assert "drew [8], measured [1, 1], shares [10, 3]" in second
    assert "20 samples in" in first and "frechet_n20=" in first and "bits/dim" in first
    assert not any(word in second for word in ("samples in", "frechet", "bits/dim", "statistics of", "everything in"))


def test_one_process_goes_on_after_two_of_which_one_was_lost(both, tmp_path):
    """The second had not written its file."""
    two, one, _ = both
    for name in ("samples_00000.npz", "samples_00002.npz", "sampling.json"):
        (tmp_path / name).write_bytes((two / "check" / name).read_bytes())
    before = (tmp_path / "samples_00002.npz").stat().st_mtime_ns
    sample.run(exact_experiment(config(), tmp_path))
    for k in range(3):
        name = f"samples_{k:05d}.npz"
        np.testing.assert_array_equal(arrays(tmp_path / name)["samples"], arrays(one / "check" / name)["samples"])
    assert (tmp_path / "samples_00002.npz").stat().st_mtime_ns == before


def test_what_was_measured_before_an_end_is_not_measured_again(both, tmp_path, monkeypatch):
    save, saved = Parts.save, []

    def save_one(parts, k, arrays):
        if saved:
            raise OSError("no space left")
        saved.append(k)
        save(parts, k, arrays)

    def measure_again():
        c = config()
        c.sampling.update(method="ddpm", respacing="4")
        eval_mode.run(exact_experiment(c, tmp_path))

    monkeypatch.setattr(Parts, "save", save_one)
    with pytest.raises(OSError, match="no space left"):
        measure_again()
    monkeypatch.setattr(Parts, "save", lambda parts, k, arrays: saved.append(k) or save(parts, k, arrays))
    measure_again()
    assert saved == [0, 1, 2] and not list(tmp_path.rglob("parts"))
    assert (tmp_path / "eval.json").read_bytes() == (both[1] / "eval" / "eval.json").read_bytes()


def test_parts_of_something_else_are_removed(tmp_path):
    Parts(tmp_path, {"seed": 1}, 2).save(0, {"x": np.ones(3)})
    assert Parts(tmp_path, {"seed": 1}, 2).mine == [1]
    other = Parts(tmp_path, {"seed": 2}, 2)
    assert other.mine == [0, 1]
    for k in other.mine:
        other.save(k, {"x": np.full(2, k)})
    assert np.concatenate(other.join()["x"]).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_part_that_is_not_finite_is_not_kept(value, tmp_path):
    parts = Parts(tmp_path, {"seed": 1}, 2)
    with pytest.raises(RuntimeError, match="bits of part 1 holds numbers that are not finite"):
        parts.save(1, {"nfe": np.array(3), "bits": np.array([0.0, value])})
    assert Parts(tmp_path, {"seed": 1}, 2).mine == [0, 1]
