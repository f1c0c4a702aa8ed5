"""docs/tutorial.py, run with a small budget: its equations hold, its pictures are drawn."""

import re

import jax
import numpy as np

from tests.conftest import ROOT

SMALL = {"STEPS": "100", "BUDGETS": "(4,)", "SAMPLES": "256"}


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
    assert loss(seen, seen["state"].params) < loss(seen, seen["eps_net"].init(jax.random.key(2), (2,)))
    assert np.isfinite(list(seen["distances"].values())).all()
    shown = set(re.findall(r"results/(tutorial_\w+\.png)", source))
    assert shown == {path.name for path in tmp_path.iterdir()}
    assert all((ROOT / "docs" / "results" / name).exists() for name in shown)


def loss(seen, params):
    """Of 2,048 points, with the same times and noise whatever the parameters."""
    keys = jax.random.split(jax.random.key(9), 2048)
    times = np.linspace(0.001, 1, 2048, dtype=np.float32)
    return float(seen["objective"].losses(params, seen["points"][:2048], keys, times, train=False).mean())
