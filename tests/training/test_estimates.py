"""Whole runs of DDDM: what is remembered of every example, over resumption, devices, processes and places."""

import jax
import numpy as np
import pytest

import interop
from configs.toy.rings_dddm import get_config
from engine.experiment import Experiment
from tests.training.test_training import STEPS, run, run_in_two_processes
from training.checkpoint import Checkpoints

EXAMPLES = 100  # an epoch is about three batches of 32: most batches run across the end of one
FEW = ("--config.data.num_points=100", "--config.training.memory_dtype=float32")


def leaves(workdir):
    """All arrays of the newest checkpoint, as saved, the estimates first."""
    config = get_config()
    config.model.update(nf=16, num_res_blocks=1)
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, _, found = checkpoints.restore(jax.eval_shape(Experiment(config).create_state))
    assert int(state.step) == STEPS and found.shape == (EXAMPLES, 2)
    return [found, *jax.tree.leaves(state)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    return workdir, run(workdir, *FEW, config="rings_dddm")


def assert_close(workdir, other):
    for a, b in zip(leaves(workdir), leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, np.abs(a).max(initial=0)))


def test_a_run_leaves_its_record(undisturbed):
    workdir, output = undisturbed
    for word in ("guide", "iteration", "change"):
        assert f"  {word} " in output
    for nfe in (1, 5):
        assert (workdir / "samples" / f"step_00000060_ema_nfe{nfe}.png").stat().st_size > 1000


def test_resuming_equals_an_undisturbed_run_bit_for_bit(undisturbed, tmp_path):
    run(tmp_path, *FEW, "--config.training.n_iters=23", config="rings_dddm")
    run(tmp_path, *FEW, config="rings_dddm")
    for a, b in zip(leaves(undisturbed[0]), leaves(tmp_path), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_host_remembers_the_same_and_devices_may_change(undisturbed, tmp_path):
    """One device, two with the rows divided between them, then the host; sums are taken in another order."""
    run(tmp_path, *FEW, "--config.training.n_iters=20", config="rings_dddm")
    mesh = ("--config.training.engine=mesh", "--config.training.n_iters=40")
    run(tmp_path, *FEW, *mesh, config="rings_dddm", devices=2)
    run(tmp_path, *FEW, "--config.training.memory=host", config="rings_dddm")
    assert_close(undisturbed[0], tmp_path)


@pytest.mark.parametrize("place", ["device", "host"])
def test_two_processes_remember_the_same(undisturbed, tmp_path, place):
    run_in_two_processes(tmp_path, *FEW, f"--config.training.memory={place}", config="rings_dddm")
    assert_close(undisturbed[0], tmp_path)


def test_another_data_set_is_refused(undisturbed):
    with pytest.raises(
        AssertionError, match=r"the estimates of the checkpoint have the shape \(100, 2\), the training"
    ):
        run(undisturbed[0], "--config.data.num_points=99", config="rings_dddm")


def test_training_can_begin_from_what_another_run_remembers(undisturbed, tmp_path):
    """In float16, which is kept as it is from then on."""
    ckpt = f"--ckpt={undisturbed[0]}"
    few = (FEW[0], "--config.training.memory_dtype=float16", "--config.training.n_iters=1")
    output = run(tmp_path, ckpt, *few, config="rings_dddm")
    assert "starting from the parameters of" in output and "MiB of float16" in output
    (folder,) = (tmp_path / "checkpoints").iterdir()
    rows = interop.estimates(folder)
    before = leaves(undisturbed[0])[0].astype(np.float16)
    assert rows.dtype == np.float16 and 0 < (rows != before).any(1).sum() <= 32
