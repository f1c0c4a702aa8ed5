"""The examples, run in one process from a folder that is not the repository, with what a wheel installs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from interop.exported import CONFIG
from tests.conftest import FAST_COMPILATION, ROOT
from tests.interop.conftest import random_params
from tests.interop.test_diffusers import DDPM, DDPM_SETTINGS, config_of, folder_of
from tests.test_names import wheel as wheel

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
RUN = """
import runpy, sys
for path in sys.argv[1:]:
    name, *sys.argv[1:] = path.split()
    print("#", name)
    runpy.run_path(name, run_name="__main__")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the examples run: a small DDPM of diffusers lies in `network`, its config in `own`."""
    folder = tmp_path_factory.mktemp("elsewhere")
    config = config_of("ddpm", {"attn_resolutions": ()}, "vp")
    folder_of(folder / "network", random_params(config), DDPM, DDPM_SETTINGS)
    (folder / "own").mkdir()
    (folder / "own" / CONFIG).write_text(json.dumps(config.to_dict()))
    return folder


@pytest.fixture(scope="module")
def printed(wheel, folder):
    """{name of an example: the words that it prints}."""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "XLA_FLAGS": FAST_COMPILATION}
    commands = [str(path) + " network own" * (path.stem == "diffusers_checkpoint") for path in EXAMPLES]
    command = [sys.executable, "-c", RUN, *commands]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [path.stem for path in EXAMPLES]
    return dict(zip(names, (part.split()[1:] for part in done.stdout.split("# ")[1:]), strict=True))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text().splitlines()) <= 30


def test_own_network(printed):
    """Samples of the exact eps of points on a circle lie on it: the last noise, 0.01, is a 25th of their spacing."""
    _, mean, _, std = printed["own_network"]
    assert abs(float(mean) - 2) < 1e-3
    assert float(std) < 1e-3


@pytest.mark.parametrize("name", ["own_process", "own_sampler"])
def test_gaussian_data(printed, name):
    """N(2, 0.5^2) by 10,000 samples: 0.03 is six standard errors of their mean, eight of their deviation."""
    _, mean, _, std = printed[name]
    assert abs(float(mean) - 2) < 0.03
    assert abs(float(std) - 0.5) < 0.03


def test_diffusers_checkpoint(printed, folder):
    """Four methods, of the same noise through one network: four pictures that are not the same."""
    drawn = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    assert printed["diffusers_checkpoint"].count("10") == len(drawn) == 4
    assert all((a != b).any() for i, a in enumerate(drawn) for b in drawn[:i])
