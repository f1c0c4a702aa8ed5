"""--mode=ema: the average that is made after training is the one that would have been tracked."""

import json

import jax
import numpy as np
import pytest

import interop
from configs.toy.rings_cld import get_config
from engine.experiment import Experiment
from engine.trained import Trained
from interop import own
from modes import ema, train

STEPS = 6
STD = 0.15


def settings(**training):
    config = get_config()
    config.data.num_points = 64
    config.model.update(nf=8, num_res_blocks=1, num_frequencies=0)
    config.training.update(batch_size=8, n_iters=STEPS, snapshot_freq=1, snapshot_sampling=False, eval_freq=0)
    config.training.update(log_freq=STEPS, **training)
    config.optim.update(warmup=0, lr=0.1)
    config.eval.update(num_samples=16, batch_size=16)
    config.sampling.nfe = 2
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A training of which every step is kept."""
    folder = tmp_path_factory.mktemp("run")
    train.run(Experiment(settings(ema_stds=(0.05, 0.1)), workdir=str(folder)))
    return folder


def made(workdir, stds, **kwargs):
    config = settings(ema_stds=(0.05, 0.1))
    config.eval.ema_std = stds
    ema.run(Experiment(config, workdir=str(workdir), **kwargs))


def tracked(workdir, std):
    """The average by the definition, b_t = (1 - 1/t)^(g + 1), in float64, from the raw parameters of every step."""
    g = max(root.real for root in np.roots([1, 7, 16 - std**-2, 12 - std**-2]))
    average = None
    for t in range(1, STEPS + 1):
        params = jax.tree.map(np.float64, own.part(workdir / "checkpoints" / str(t), ("params",)))
        b = (1 - 1 / t) ** (g + 1)
        average = params if t == 1 else jax.tree.map(lambda a, p, b=b: b * a + (1 - b) * p, average, params)
    return average


def test_it_is_the_tracked_average(workdir, tmp_path):
    made(workdir, (STD,), result_folder=str(tmp_path))
    (folder,) = tmp_path.glob(f"*{STD}")
    config = settings()
    params, kind = interop.load_with_kind(folder, config, shape=(2,), k=2)
    wanted = tracked(workdir, STD)
    raw = interop.load(workdir, config, "raw", shape=(2,), k=2)
    assert kind == "ema" and jax.tree.structure(params) == jax.tree.structure(wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params, wanted)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, raw)
    assert max(jax.tree.leaves(moved)) > 1e-2  # training moved by much more than the tolerance


def test_distances_over_widths(workdir):
    """Each is of its own parameters."""
    made(workdir, (0.05, 0.2))
    found = json.loads((workdir / "ema" / "ema.json").read_text())
    assert (workdir / "ema" / "ema.png").stat().st_size > 1000
    hashes = set()
    for one in found["widths"]:
        params = interop.load(one["path"], settings(), shape=(2,), k=2)
        hashes.add(Trained(params, "ema", one["path"]).hash)
        assert one["residual"] < 1e-6 and all(np.isfinite(list(one["metrics"].values())))
    noted = [json.loads(path.read_text())["parameters"] for path in (workdir / "check").rglob("sampling.json")]
    assert set(noted) == hashes and len(hashes) == 2


def test_too_few_averages_are_refused(workdir, tmp_path):
    """Of the last checkpoint alone none can be made that weighs its steps about alike."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / str(STEPS)).symlink_to(workdir / "checkpoints" / str(STEPS))
    with pytest.raises(ValueError, match=r"ema_std=0.28: the 2 averages in the checkpoints differ from it by \d+%"):
        made(tmp_path, (0.28,))
    assert not list((tmp_path / "ema").glob("*std*"))


def test_bad_input_is_named(workdir, tmp_path):
    with pytest.raises(ValueError, match="config.eval.ema_std is missing"):
        made(workdir, ())
    with pytest.raises(ValueError, match="no checkpoint in .*train first"):
        made(tmp_path, (0.1,))
