"""--mode=tune with an exact network: the file, what it says, its use by samples, and what is refused."""

import json

import jax
import numpy as np
import pytest

from engine import record, tables, tuning
from engine.experiment import Experiment
from modes import sample, tune
from samplers.coefficients import corrected
from tests.modes.exact import digits_config, exact_experiment

SMALL = {"starts": 32, "held_out": 16, "fine_nfe": 40, "iterations": 2, "batch_size": 16}


def config(depth="gradient", **sampling):
    c = digits_config(sampling={"nfe": 5} | sampling)
    c.tune.update(SMALL | {"depth": depth})
    c.eval.num_samples = 8
    c.eval.batch_size = 8
    return c


def tuned(folder, depth="gradient", **sampling):
    tune.run(exact_experiment(config(depth, **sampling), folder))
    return folder / "table.json"


@pytest.fixture(scope="module", autouse=True)
def short_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "EVERY", 1)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tuned(tmp_path_factory.mktemp("tuned"))


def with_table(path, folder):
    c = config()
    c.sampling.table = str(path)
    return exact_experiment(c, folder)


def test_the_table_is_closer_and_says_how_it_was_made(made):
    found = json.loads(made.read_text())
    error = found["tuned"]["error"]
    assert error["after"]["rms"] < error["before"]["rms"] / 2
    assert found["tuned"]["tune"]["starts"] == 32 and found["sampling"]["nfe"] == 5
    assert {"parameters", "seed", "versions", "checkpoint"} <= found["tuned"].keys()
    assert not (made.parent / "parts").exists()


@pytest.mark.parametrize(("after", "worse"), [(0.5, False), (2.0, True)])
def test_a_table_that_is_worse_than_none_is_said(capsys, after, worse):
    tune.report({"before": {"rms": 1.0, "median": 1.0}, "after": {"rms": after, "median": 0.5}}, 1.0, "table.json")
    assert ("without this table is better" in capsys.readouterr().out) == worse


def test_a_table_of_another_network_is_named(made, capsys):
    parameters = json.loads(made.read_text())["tuned"]["parameters"]
    tables.tell(str(made), parameters)
    assert not capsys.readouterr().out
    tables.tell(str(made), "0" * 64)
    assert f"was tuned for another network ({parameters[:8]})" in capsys.readouterr().out


def test_samples_use_the_table_and_record_it_by_content(made, tmp_path):
    experiment = with_table(made, tmp_path)
    found = json.loads(made.read_text())["sampling"]
    np.testing.assert_array_equal(experiment.sampler.corrections, found["corrections"])
    untuned = exact_experiment(config(times=tuple(found["times"])), tmp_path).sampler
    wanted = corrected(untuned.rows, found["corrections"])
    for ours, theirs in zip(jax.tree.leaves(experiment.sampler.rows), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    sample.run(experiment)
    noted = record.read(tmp_path)
    assert noted["sampling"]["corrections"] == found["corrections"] and noted["nfe"] == 5
    assert "table" not in noted["sampling"]
    with pytest.raises(ValueError, match="made with another sampling"):
        sample.run(exact_experiment(config(), tmp_path))


@pytest.mark.parametrize("method", ["gddim", "unipc"])
def test_an_untuned_method_through_a_file_is_itself_bit_for_bit(tmp_path, method):
    experiment = exact_experiment(config(method=method), tmp_path)
    sampler = experiment.sampler
    same = tuning.bare(sampler, tuning.own_times(sampler))
    path = tmp_path / "table.json"
    path.write_text(json.dumps(tables.content(method, same, experiment.processes)))
    again = with_table(path, tmp_path).sampler
    assert type(again) is type(sampler) and again.nfe == sampler.nfe
    for ours, theirs in zip(jax.tree.leaves(again.rows), jax.tree.leaves(sampler.rows), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("depth", ["network_free", "forward"])
def test_the_cheaper_depths_change_the_times_alone(tmp_path, depth):
    found = json.loads(tuned(tmp_path, depth).read_text())
    assert "corrections" not in found["sampling"]
    assert (np.diff(found["sampling"]["times"]) < 0).all() and found["sampling"]["times"][0] == 1.0


def test_a_run_that_ended_goes_on_and_comes_to_the_same(made, tmp_path, monkeypatch):
    """Memories of L-BFGS begin anew at every EVERY iterations, and so does a run that goes on."""
    real, calls = tune.Tuner.descend, []

    def breaks(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(tune.Tuner, "descend", breaks)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path)
    assert (tmp_path / "parts" / "descent.npz").exists() and not (tmp_path / "table.json").exists()
    again = json.loads(tuned(tmp_path).read_text())
    assert len(calls) == 3  # the first, the second that ended, and the second again
    assert again == json.loads(made.read_text())


def test_what_does_not_fit_is_answered_in_one_line(made, tmp_path):
    other = digits_config("cld", sampling={"table": str(made)})
    with pytest.raises(ValueError, match=r"tuned for config.sde.name='vp', and here it is 'cld'"):
        Experiment(other)
    same = digits_config(sampling={"table": str(made)})
    with pytest.raises(ValueError, match="config.sampling.nfe means nothing beside config.sampling.table"):
        Experiment(same, overrides=("sampling.nfe",))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a table of --mode=tune"):
        with_table(tmp_path / "other.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="is no file"):
        with_table(tmp_path / "none.json", tmp_path)
    with pytest.raises(ValueError, match="without noise"):
        tuned(tmp_path, method="em")
    with pytest.raises(ValueError, match="must be a table"):
        tune.run(exact_experiment(digits_config(sampling={"method": "ode"}), tmp_path))
    with pytest.raises(ValueError, match="config.tune.fine_nfe=40 must be more than the 40 that are tuned"):
        tuned(tmp_path, nfe=40)
    with pytest.raises(ValueError, match="use one of network_free, forward, gradient"):
        tuned(tmp_path, "deep")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "method 'magic' is unknown"),
        ({"method": "ode"}, "means nothing to its method 'ode'"),
        ({"magic": 1}, "magic means nothing to its method"),
        ({"deis_order": "two"}, "its deis_order='two' must be"),
        ({"nfe": -3}, "its nfe=-3 must be"),
        ({"times": "abc"}, "times are not finite"),
        ({"times": [1.0, float("nan"), 1e-3]}, "times are not finite"),
        ({"corrections": [[1.0], [1.0, 2.0]]}, "corrections are not finite"),
        ({"times": [1.0, 0.3, 0.5, 1e-3]}, "must decrease"),
        ({"corrections": [[[[1.0]]]]}, "do not fit a table"),
    ],
)
def test_a_damaged_table_is_named(made, tmp_path, change, words):
    path, found = tmp_path / "table.json", json.loads(made.read_text())
    for sampling in (found["sampling"] | change, None):
        path.write_text(json.dumps(found | {"sampling": sampling}))
        with pytest.raises(ValueError, match=words if sampling else "is damaged: make it anew"):
            with_table(path, tmp_path).sampler  # noqa: B018


def test_keys_that_times_replace_are_named():
    c = config(times=(1.0, 0.5, 1e-3))
    for key in ("nfe", "grid", "ts_order"):
        with pytest.raises(ValueError, match=f"sampling.{key} means nothing beside config.sampling.times"):
            Experiment(c, overrides=("sampling.times", f"sampling.{key}"))
    with pytest.raises(ValueError, match=r"times_in means nothing without config.sampling.times"):
        Experiment(config(), overrides=("sampling.times_in",))
    assert Experiment(c, overrides=("sampling.times", "sampling.times_in")).sampler.nfe == 3


def test_an_unknown_loss_is_named_before_the_fine_trajectories(tmp_path):
    c = config()
    c.tune.loss = "cube"
    with pytest.raises(ValueError, match="config.tune.loss='cube' is unknown"):
        tune.run(exact_experiment(c, tmp_path))
    assert not list(tmp_path.iterdir())
