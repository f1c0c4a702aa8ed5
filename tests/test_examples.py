"""The examples, run from a folder that is not the repository, with what a wheel installs."""

import os
import subprocess
import sys

from tests.conftest import FAST_COMPILATION, ROOT
from tests.test_names import wheel as wheel


def test_own_network(wheel, tmp_path):
    """Samples of the exact eps of points on a circle lie on it: the last noise, 0.01, is a 25th of their spacing."""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "XLA_FLAGS": FAST_COMPILATION}
    command = [sys.executable, str(ROOT / "examples" / "own_network.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, mean, _, std = done.stdout.split()
    assert abs(float(mean) - 2) < 1e-3
    assert float(std) < 1e-3
