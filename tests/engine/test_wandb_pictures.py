"""--wandb in modes other than train: the run of the workdir gets the pictures that the mode wrote."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from configs.default import get_config
from engine.paths import Paths
from engine.wandb_pictures import logging_pictures
from evaluation.grid import save_grid


@pytest.fixture
def logged(monkeypatch):
    """What a run is told, in order; its end is "finished"."""
    found = []
    run = SimpleNamespace(log=lambda values: found.extend(values.items()), finish=lambda: found.append("finished"))
    wandb = SimpleNamespace(init=lambda **arguments: run, Image=lambda path: path)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return found


def draw(path, level=0):
    save_grid(np.full((1, 4, 4, 1), level, np.uint8), path)
    return str(path)


def test_new_and_changed_pictures_are_told(logged, tmp_path):
    workdir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    draw(workdir / "check" / "old.png")
    draw(workdir / "check" / "again.png")
    with logging_pictures(Paths(str(workdir), result_folder=str(elsewhere)), get_config()):
        new = draw(workdir / "check" / "30" / "grid.png")
        again = draw(workdir / "check" / "again.png", level=9)
        other = draw(elsewhere / "ood.png")
        draw(workdir / "check" / "png" / "00000.png")
    assert logged == [("check/30/grid", new), ("check/again", again), ("ood", other), "finished"]


def test_a_mode_that_fails_tells_nothing(logged, tmp_path):
    with pytest.raises(OSError, match="disk"), logging_pictures(Paths(str(tmp_path)), get_config()):
        draw(tmp_path / "grid.png")
        raise OSError("disk")
    assert logged == ["finished"]


def test_a_workdir_is_needed(logged):
    with pytest.raises(ValueError, match="--workdir is missing"), logging_pictures(Paths(), get_config()):
        pass
