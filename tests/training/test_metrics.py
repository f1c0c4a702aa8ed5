"""Runs of Weights & Biases are those of their folders."""

import sys
from types import SimpleNamespace

import pytest

from configs.default import get_config
from training.metrics import Wandb


@pytest.fixture
def started(monkeypatch):
    """The arguments with which runs were begun."""
    begun = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **arguments: begun.append(arguments)))
    return begun


def test_a_folder_goes_on_with_its_run_and_no_other(started, tmp_path, monkeypatch):
    for parent in ("a", "b"):
        (tmp_path / parent / "my run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    for workdir in (tmp_path / "a" / "my run", "my run", "../a/my run/", tmp_path / "link" / "my run"):
        Wandb(str(workdir), get_config("vp", "mlp"))
    Wandb(str(tmp_path / "b" / "my run"), get_config("vp", "mlp"))
    *same, other = [arguments["id"] for arguments in started]
    assert len(set(same)) == 1 and other not in same
    assert all(arguments["name"] == "my run" and arguments["resume"] == "allow" for arguments in started)
    assert all(id.isalnum() and len(id) <= 64 for id in (*same, other))  # what their server takes
