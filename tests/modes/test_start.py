"""What a run begins with and leaves, by the code of the command in this process."""

import json
import os
import shutil

import jax
import numpy as np
import pytest

from configs.toy.rings_cld import get_config
from devices import processes
from engine import start
from engine.experiment import Experiment
from interop import own
from modes import train
from training.checkpoint import Checkpoints


def experiment(workdir, ckpt=None, **training):
    """Rings with a tiny network; `training` are changes of config.training."""
    config = get_config()
    config.model.update(nf=16, num_res_blocks=1)
    config.data.num_points = 100
    config.training.update(batch_size=32, n_iters=2, log_freq=1, eval_freq=0, snapshot_sampling=False)
    config.training.update(training)
    return Experiment(config, workdir=str(workdir), ckpt=ckpt and str(ckpt))


def restored(workdir):
    return Checkpoints(workdir / "checkpoints").restore(jax.eval_shape(experiment(workdir).create_state))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("first")
    train.run(experiment(workdir, snapshot_freq=0, snapshot_freq_for_preemption=0))
    return workdir


@pytest.fixture
def workdir(first, tmp_path):
    """A copy of the first run, to go on with."""
    return shutil.copytree(first, tmp_path / "run")


def test_the_last_state_is_saved_without_any_frequency(first):
    assert int(restored(first).state.step) == 2


def test_another_batch_size_goes_on_where_the_examples_ended(workdir):
    train.run(experiment(workdir, n_iters=5, batch_size=64))
    state, meta, _ = restored(workdir)
    assert int(state.step) == 5 and meta["position"] == 2 * 32 + 3 * 64


def test_the_command_that_began_from_parameters_goes_on_and_no_other_does(first, tmp_path, capsys):
    workdir = tmp_path / "run"
    train.run(experiment(workdir, ckpt=first))
    assert f"starting from the parameters of {first}" in capsys.readouterr().out
    train.run(experiment(workdir, ckpt=first, n_iters=3))
    assert f"resuming {workdir} at step 2, which began from {first}" in capsys.readouterr().out
    train.run(experiment(workdir, n_iters=4))
    before = (workdir / "config.json").read_bytes()
    with pytest.raises(ValueError, match=rf"is at step 4 of a run that began from {first}: leave --ckpt out"):
        train.run(experiment(workdir, ckpt=tmp_path / "absent", n_iters=9))
    with pytest.raises(ValueError, match="is at step 2 of a run that began from new parameters: leave --ckpt out"):
        train.run(experiment(first, ckpt=workdir))
    assert (workdir / "config.json").read_bytes() == before


def test_a_run_that_cannot_go_on_changes_no_file(workdir):
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.name != "lock"}
    other = experiment(workdir)
    other.config.model.nf = 32
    with pytest.raises(ValueError, match="checkpoint 2 holds"):
        train.run(other)
    with pytest.raises(ValueError, match="keep_checkpoints=0 must be at least 1"):
        train.run(experiment(workdir, keep_checkpoints=0))
    guided = experiment(workdir, snapshot_sampling=True)
    guided.config.sampling.guidance = np.nan
    with pytest.raises(ValueError, match="guidance=nan must be a finite number"):
        train.run(guided)
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.name != "lock"} == before


def test_a_reader_takes_the_newest_where_training_deleted_the_one_before(workdir, monkeypatch):
    reader, read = experiment(workdir), own.read

    def read_late(path, *arguments):
        if path.name == "2":
            path.rename(path.with_name("3"))
        return read(path, *arguments)

    monkeypatch.setattr(own, "read", read_late)
    assert jax.tree.leaves(reader.trained.params) and reader.trained.path.endswith("/3")
    (workdir / "checkpoints" / "3" / "state" / "_METADATA").unlink()
    shutil.rmtree(workdir / "checkpoints" / "3" / "state" / "ocdbt.process_0", ignore_errors=True)
    (workdir / "checkpoints" / "3" / "state" / "manifest.ocdbt").unlink()
    with pytest.raises(ValueError, match="unreadable Orbax checkpoint"):
        jax.tree.leaves(experiment(workdir).trained.params)


def halve(part):
    """Cuts every file of a part of a step."""

    def damage(step):
        for path in filter(os.path.isfile, (step / part).rglob("*")):
            os.truncate(path, path.stat().st_size // 2)

    return damage


def empty(step):
    shutil.rmtree(step)
    step.mkdir()


@pytest.mark.parametrize(
    "damage, by",
    [(halve("state"), "workdir"), (halve("meta"), "workdir"), (empty, "workdir"), (halve("state"), "ckpt")],
)
def test_a_reader_passes_over_a_damaged_newest_one_as_training_does(damage, by, workdir, tmp_path, capsys):
    before = workdir / "checkpoints" / "2"
    newest = shutil.copytree(before, before.with_name("3"))
    damage(newest)
    reader = experiment(workdir) if by == "workdir" else experiment(tmp_path / "other", ckpt=workdir)
    assert jax.tree.leaves(reader.trained.params) and reader.trained.step == before
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith(f"passed over: {newest}") and said[0].endswith(f"reading {before}")
    assert newest.exists()  # training, which writes, puts it aside


def test_what_a_crash_left_of_the_record_is_dropped(workdir):
    """A line that was cut, one of zeros, one whose end of line is missing, and steps that are taken again."""
    record = workdir / "metrics.jsonl"
    lines = record.read_bytes().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    record.write_bytes(
        lines[0] + b'\n{"step": 7, "loss": 1}\n{"step": 2, "lo\n' + b"\0" * 9 + b"\n\xff\n5\n" + lines[1]
    )
    train.run(experiment(workdir, n_iters=4))
    found = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert found[:2] == [json.loads(line) for line in lines]


def test_no_clipping_trains(first, tmp_path):
    """A largest norm of 0 is none, as -1 is: the same steps, which are no steps of size 0."""
    kernels = []
    for clip in (0.0, -1.0):
        other = experiment(tmp_path / str(clip))
        other.config.optim.update(grad_clip=clip, warmup=0)
        train.run(other)
        kernels.append(jax.tree.leaves(restored(tmp_path / str(clip)).state.params))
    new = jax.tree.leaves(experiment(tmp_path).create_state().params)
    for without, negative, before in zip(*kernels, new, strict=True):
        np.testing.assert_array_equal(without, negative)
        assert (without != before).any()


def test_what_processes_compare_is_content(monkeypatch, tmp_path):
    """Of a run of two: other points, another config, newest checkpoint or --ckpt are told apart, the same are not."""
    noted = []
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "everyones", lambda digest: noted.append(digest) or [digest])
    one = experiment(tmp_path)
    other = one.config.copy_and_resolve_references()
    other.seed += 1
    fewer = experiment(tmp_path)
    fewer.config.data.num_points -= 1
    for config, examples, latest, ckpt in (
        (one.config, one.examples, 3, None),
        (one.config, experiment(tmp_path).examples, 3, None),
        (other, one.examples, 3, None),
        (one.config, fewer.examples, 3, None),
        (one.config, one.examples, 2, None),
        (one.config, one.examples, 3, "elsewhere"),
    ):
        start.check_same(config, examples, latest, ckpt)
    assert noted[0] == noted[1] and len(set(noted)) == 5
    with pytest.raises(ValueError, match="differ in their config, data or checkpoints: start all of them"):
        monkeypatch.setattr(processes, "everyones", lambda digest: [digest, noted[3]])
        start.check_same(one.config, one.examples, 3, None)
