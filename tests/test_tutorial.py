"""docs/tutorial.py, run with a small budget: its equations hold, its pictures are drawn."""

import re

import numpy as np

from sde_lib import blocks
from sde_lib.exact import data_covariance
from tests.conftest import ROOT

SMALL = {"STEPS": "20", "BUDGETS": "(4,)", "SAMPLES": "256"}


def test_the_tutorial_runs_and_is_right(tmp_path, monkeypatch):
    source = (ROOT / "docs" / "tutorial.py").read_text()
    for name, value in (SMALL | {"PICTURES": repr(str(tmp_path))}).items():
        source, number = re.subn(rf"^{name} = .*", f"{name} = {value}", source, flags=re.MULTILINE)
        assert number == 1
    monkeypatch.setenv("MPLBACKEND", "Agg")
    seen = {"__name__": "tutorial"}
    exec(compile(source, "tutorial.py", "exec"), seen)
    # Differences of step 1e-5 of functions of order 1: the square of the step times third derivatives, below 1e-6.
    assert max(seen["left_over"].values()) < 1e-6
    # One point: with R nothing is missed but the noise that is left at t_min, with L much more.
    assert abs(seen["missed"]["R"] / seen["left"] - 1) < 0.1  # 512 numbers: 3 % is one standard error
    assert seen["missed"]["L"] > 2 * seen["left"]
    spread = {root: np.ptp(eps, axis=0).max() for root, eps in seen["noise"].items()}
    assert spread["R"] < 1e-2 * spread["L"]
    # The network begins at the best linear prediction. Over 20 batches of 512 one standard error is about 1 %.
    assert abs(seen["losses"].mean() / linear_loss(seen["sde"]) - 1) < 0.05
    assert seen["state"].step == len(seen["losses"])
    assert np.isfinite(list(seen["distances"].values())).all()
    shown = set(re.findall(r"results/(tutorial_\w+\.png)", source))
    assert shown == {path.name for path in tmp_path.iterdir()}
    assert all((ROOT / "docs" / "results" / name).exists() for name in shown)


def linear_loss(sde):
    """Mean over times of what eps of data of variance 1 has left when u is known: tr(I - R^T P^-1 R) / k."""
    t = np.linspace(1e-5, sde.T, 2001)
    Psi, R = sde.Psi(t, 0.0), sde.R(t)
    P = blocks.matmul(blocks.matmul(Psi, data_covariance(sde, 1.0)), blocks.transpose(Psi)) + sde.Sigma(t)
    known = blocks.matmul(blocks.transpose(R), blocks.matmul(blocks.inverse(P), R))
    return 1 - np.trace(known, axis1=-2, axis2=-1).mean() / sde.k
