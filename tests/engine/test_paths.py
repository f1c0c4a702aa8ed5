"""Which checkpoint a command takes."""

import pytest

from engine.paths import Paths


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A run with checkpoints of steps 100 and 200, and another folder to stand in."""
    for step in ("100", "200"):
        (tmp_path / "run" / "checkpoints" / step).mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "run"


def test_a_checkpoint_of_the_run_may_be_named_by_its_step(workdir):
    assert Paths(str(workdir), "100").checkpoint() == str(workdir / "checkpoints" / "100")


def test_a_path_that_exists_comes_first(workdir, tmp_path):
    (tmp_path / "here" / "100").mkdir()
    assert Paths(str(workdir), "100").checkpoint() == "100"


@pytest.mark.parametrize("ckpt", ["300", "elsewhere/100"])
def test_other_paths_stay_what_they_are(workdir, ckpt):
    assert Paths(str(workdir), ckpt).checkpoint() == ckpt
    assert Paths(None, "100").checkpoint() == "100"
