"""Published files through main.py as a user runs it: dry run, check, export, and files that must be refused."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FAST_COMPILATION, ROOT

NETWORK = (
    "--config=configs/cld/cifar10_accelerated.py",
    "--config.model.nf=8",
    "--config.model.ch_mult=(1,2)",
    "--config.model.num_res_blocks=1",
    "--config.model.attn_resolutions=(8,)",
    "--config.data.image_size=16",
)
SAMPLES = ("--config.sampling.nfe=2", "--config.eval.num_samples=3", "--config.eval.batch_size=3")
ENVIRONMENT = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FAST_COMPILATION}


def start(*arguments):
    """main.py with `arguments`, running."""
    command = [sys.executable, "main.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


def finish(process):
    """(exit status, stdout, stderr)."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def linnet(*arguments):
    """stdout of main.py, which must succeed."""
    status, out, err = finish(start(*arguments))
    assert status == 0, err
    return out


def only_line(process):
    """The one line on stderr of a command that must fail."""
    status, out, err = finish(process)
    assert (status, out, err.count("\n")) == (1, "", 1), err
    return err


def samples(folder):
    with np.load(folder / "samples_00000.npz") as arrays:
        return arrays["samples"]


@pytest.fixture(scope="module")
def checkpoint(golden):
    return golden.path("jax/net_cld_accr_ckpt/checkpoint_7")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Flags that choose a folder of 16 x 16 images and distances between pixels."""
    folder = tmp_path_factory.mktemp("images")
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)):
        Image.fromarray(image).save(folder / f"{i}.png")
    return ("--config.data.dataset=folder", f"--config.data.path={folder}", "--config.eval.extractor=pixels")


@pytest.fixture(scope="module")
def checked(checkpoint, data, tmp_path_factory):
    """(result folder, stdout) of --mode=check with the published file as it is."""
    folder = tmp_path_factory.mktemp("check")
    out = linnet(*NETWORK, *SAMPLES, *data, "--mode=check", f"--ckpt={checkpoint}", f"--result_folder={folder}")
    return folder, out


def test_check(checked):
    folder, out = checked
    report = json.loads((folder / "report.json").read_text())
    assert (report["checkpoint"], report["params"], report["nfe"]) == ("checkpoint_7", "ema", 2)
    images, distance = samples(folder).astype(float) / 255, report["metrics"]["frechet_n3"]
    assert images.shape == (3, 16, 16, 3)
    with np.load(next(folder.glob("stats_*.npz"))) as stats:
        difference = images.reshape(3, -1).mean(axis=0) - stats["mu"]
    assert distance > difference @ difference  # the other term is a squared distance as well
    line = out.splitlines()[-1]
    parts = ("frechet_n3=", "n=3 by pixels (x / 255, flattened)", "(n=12, uint8 16x16x3, verified)", report["warning"])
    assert [part for part in parts if part not in line] == []


@pytest.mark.parametrize("params", ["ema", "raw"])
def test_export_gives_the_same_images(checked, checkpoint, tmp_path, params):
    """Bit for bit; the published file is renamed on the way, which plays no part."""
    choice = (*NETWORK, f"--config.eval.params={params}")
    renamed = tmp_path / "model.pth"
    renamed.symlink_to(checkpoint)
    export, again = tmp_path / "export", tmp_path / "again"
    linnet(*choice, "--mode=export", f"--ckpt={renamed}", f"--result_folder={export}")
    assert not list(tmp_path.glob("*/*.pth"))
    linnet(*choice, *SAMPLES, "--mode=sample", f"--ckpt={export}", f"--result_folder={again}")
    expected = checked[0]
    if params == "raw":
        expected = tmp_path / "raw"
        linnet(*choice, *SAMPLES, "--mode=sample", f"--ckpt={renamed}", f"--result_folder={expected}")
        assert (samples(expected) != samples(checked[0])).any()
    np.testing.assert_array_equal(samples(again), samples(expected))


def test_dry_run_and_a_config_that_does_not_fit(checkpoint, tmp_path):
    ckpt = f"--ckpt={checkpoint}"
    fits, differs = start(*NETWORK, "--dry_run", ckpt), start(*NETWORK, "--dry_run", ckpt, "--config.model.nf=16")
    refused = start(*NETWORK, "--config.model.nf=16", "--mode=sample", ckpt, f"--result_folder={tmp_path / 'none'}")
    status, out, _ = finish(fits)
    assert status == 0
    assert "all names and shapes fit the config" in out
    status, out, _ = finish(differs)
    assert status == 0
    assert "set --config.model.nf=8" in out
    assert "Dense_0/kernel" in out
    line = only_line(refused)
    assert line.startswith("error: ")
    assert "set --config.model.nf=8" in line
    assert not (tmp_path / "none").exists()


def test_files_that_are_refused(checkpoint, torch_zip, tmp_path, encode):
    """Each with one line, which names the file and the reason; nothing in them runs."""
    _, call = encode
    marker = tmp_path / "marker"
    command = f"echo > {marker}"
    files = {
        "picture.pth": "of no known format",
        "cut": "cut short",
        "hostile.pth": "os.system",
        "hostile.pkl": "pickle",
        "absent": "no checkpoint at",
    }
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.pth", format="png")
    (tmp_path / "cut").write_bytes(checkpoint.read_bytes()[:50_000])
    torch_zip.write(tmp_path / "hostile.pth", {"model": call("os", "system", (command,))})
    (tmp_path / "hostile.pkl").write_bytes(pickle.dumps(Hostile(command)))
    running = {
        name: start(*NETWORK, "--mode=sample", f"--ckpt={tmp_path / name}", f"--result_folder={tmp_path / 'none'}")
        for name in files
    }
    lines = {name: only_line(process) for name, process in running.items()}
    assert {name: lines[name] for name, reason in files.items() if reason not in lines[name]} == {}
    assert all(str(tmp_path / name) in line for name, line in lines.items())
    assert not marker.exists()
    assert not (tmp_path / "none").exists()


class Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)
