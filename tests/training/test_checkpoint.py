"""Checkpoints: who may write, which are kept, and what becomes of damaged and non-finite ones."""

import os
import resource

import jax
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from training.checkpoint import Checkpoints, NonFinite, check_finite, newest
from training.state import TrainState

SAVED = {"position": 0, "config": ConfigDict()}


def state_at(step, value=0.5):
    params = {"Dense_0": {"kernel": np.full((64, 64), value, np.float32)}}
    return TrainState.create(params, optax.adam(1e-3), (0.9,)).replace(step=np.int32(step))


@pytest.fixture
def saved(tmp_path):
    """saved(step, ...) saves states in one session; saved.steps() are those on disk."""

    def save(*steps, for_good=(), estimates=None, keep_last=2):
        checkpoints = Checkpoints(tmp_path, keep_last)
        for step in steps:
            checkpoints.save(state_at(step, step), for_good=step in for_good, estimates=estimates, **SAVED)
        checkpoints.close()

    save.steps = lambda: sorted(int(path.name) for path in tmp_path.iterdir())
    return save


def restore(folder, keep_last=None):
    said = []
    restored = Checkpoints(folder, keep_last).restore(jax.eval_shape(lambda: state_at(0)), said.append)
    return restored, said


def snapshot_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_some_are_kept_for_good_over_sessions(saved):
    """Whatever their steps, which need not be multiples of anything, and whatever is kept later."""
    saved(3, 7, 11, 12, for_good=(3, 7))
    assert saved.steps() == [3, 7, 11, 12]
    saved(13, 14, 15, for_good=(14,), keep_last=1)
    assert saved.steps() == [3, 7, 14, 15]


def test_a_reader_changes_nothing_while_another_process_saves(saved, tmp_path):
    """The temporary folder of the save in progress is what earlier readers removed."""
    saved(1, 2)
    (tmp_path / "3.orbax-checkpoint-tmp-0" / "state").mkdir(parents=True)
    before = snapshot_of(tmp_path)
    assert newest(tmp_path) == 2
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest == 2
    assert int(checkpoints.restore(jax.eval_shape(lambda: state_at(0))).state.step) == 2
    checkpoints.close()
    assert snapshot_of(tmp_path) == before
    saved(4)
    assert saved.steps() == [2, 4]


def empty(step):
    for path in step.rglob("*"):
        if path.is_file():
            path.unlink()


def truncate(part):
    def damage(step):
        for path in (step / part).rglob("*"):
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)

    return damage


@pytest.mark.parametrize("damage", [empty, truncate("state"), truncate("meta"), truncate("memory")])
def test_a_damaged_newest_one_falls_back_to_the_one_before(saved, tmp_path, damage):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    rows = np.arange(12, dtype=np.float16).reshape(4, 3)
    writer = Checkpoints(folder, 2)
    for step in (5, 6):
        writer.save(state_at(step, step), estimates=rows, **SAVED)
    writer.close()
    damage(folder / "6")
    (state, _, estimates), said = restore(folder)
    assert int(state.step) == 5 and (folder / "6").exists()
    np.testing.assert_array_equal(estimates, rows)
    np.testing.assert_array_equal(state.params["Dense_0"]["kernel"], np.float32(5))
    assert len(said) == 1 and "checkpoint 6 is damaged" in said[0] and "going on from 5" in said[0]
    checkpoints = Checkpoints(folder, 2)
    checkpoints.restore(jax.eval_shape(lambda: state_at(0)), said.append)
    assert checkpoints.latest == 5 and len(list((tmp_path / "checkpoints_damaged").iterdir())) == 1
    checkpoints.save(state_at(6, 60), estimates=rows, **SAVED)
    checkpoints.close()
    (state, _, _), _ = restore(folder)
    np.testing.assert_array_equal(state.params["Dense_0"]["kernel"], np.float32(60))


def test_where_all_are_damaged_nothing_is_moved_or_begun_anew(saved, tmp_path):
    saved(5, 6)
    for step in ("5", "6"):
        truncate("state")(tmp_path / step)
    with pytest.raises(ValueError, match=r"has no whole checkpoint \(6: .*; 5: "):
        restore(tmp_path, keep_last=2)
    assert saved.steps() == [5, 6]


def test_another_config_is_an_error_and_no_damage(saved, tmp_path):
    saved(5, 6)
    other = TrainState.create({"Dense_0": {"kernel": np.zeros((3, 3))}}, optax.adam(1e-3), (0.9,))
    with pytest.raises(ValueError, match=r"checkpoint 6 holds \(64, 64\) as .*kernel, where the config asks for"):
        Checkpoints(tmp_path, 2).restore(other)
    assert saved.steps() == [5, 6]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_no_good_checkpoint(tmp_path, value):
    for part in ("params", "ema", "opt_state"):
        state = state_at(6)
        bad = jax.tree.map(lambda leaf: np.array(leaf, copy=True), getattr(state, part))
        next(leaf for leaf in jax.tree.leaves(bad) if leaf.shape).flat[-1] = value
        with pytest.raises(NonFinite, match=rf"{part}/.*kernel holds values that are not finite"):
            check_finite(state.replace(**{part: bad}))
    check_finite(state_at(6))
    writer = Checkpoints(tmp_path, 2)
    writer.save(state_at(5), **SAVED)
    writer.save(state_at(6, value), **SAVED)
    writer.close()
    (state, _, _), said = restore(tmp_path)
    assert int(state.step) == 5 and "Dense_0/kernel holds values that are not finite" in said[0]


def test_a_full_disk_is_named_and_the_last_complete_one_stays(saved, tmp_path):
    """Stood in for by the largest size of a file that this process may write."""
    saved(5)
    checkpoints = Checkpoints(tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        noise = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
        state = state_at(6).replace(params={"Dense_0": {"kernel": noise}})
        with pytest.raises(OSError, match=r"no checkpoint could be written to .* the last complete one is of step 5"):
            checkpoints.save(state, **SAVED)
            checkpoints.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (state, _, _), said = restore(tmp_path)
    assert int(state.step) == 5 and not said


def test_none_kept_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep_checkpoints=0 must be at least 1"):
        Checkpoints(tmp_path / "checkpoints", 0)
    assert not (tmp_path / "checkpoints").exists()


def test_the_interface_that_comes_reads_what_is_written(tmp_path):
    """Orbax's V1, which takes the top level in its 1.0."""
    pytest.importorskip("orbax.checkpoint", minversion="0.12", reason="older ones of V1 read no JSON beside arrays")
    v1 = pytest.importorskip("orbax.checkpoint.experimental.v1")
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    checkpoints = Checkpoints(tmp_path, 1)
    checkpoints.save(state_at(3, 0.25), estimates=rows, **SAVED)
    checkpoints.close()
    assert v1.training.Checkpointer(tmp_path).latest.step == 3
    found = v1.load_checkpointables(tmp_path / "3")
    np.testing.assert_array_equal(found["memory"]["rows"], rows)
    np.testing.assert_array_equal(found["state"]["params"]["Dense_0"]["kernel"], np.full((64, 64), 0.25, np.float32))
    assert found["meta"]["position"] == 0
