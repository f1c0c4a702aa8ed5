"""Training and checking where only jax, flax, optax, orbax, ml_collections, absl, numpy, scipy and pillow are there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FAST_COMPILATION, ROOT

ABSENT = [
    "matplotlib",
    "sklearn",
    "grain",
    "tensorflow_datasets",
    "clu",
    "wandb",
    "tqdm",
    "diffrax",
    "tensorflow",
    "torch",
]
RUN = f"""
import runpy, sys
for name in {ABSENT}:
    sys.modules[name] = None
sys.argv[0] = "main.py"
runpy.run_path("main.py", run_name="__main__")
"""


def linnet(*arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FAST_COMPILATION}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (64, 8, 12, 3), np.uint8)):
        Image.fromarray(image).save(folder / f"{'ab'[i % 2]}_{i}.png")
    return folder


def test_train_and_check(images, tmp_path):
    """Not square, three channels, a folder of PNG files: the whole path of a batch."""
    common = [
        "--config=configs/cld/digits.py",
        f"--workdir={tmp_path}",
        "--config.data.dataset=folder",
        f"--config.data.path={images}",
        "--config.data.image_size=0",
        "--config.data.num_channels=0",
        "--config.model.nf=8",
        "--config.model.num_res_blocks=1",
        "--config.sampling.nfe=3",
    ]
    trained = linnet(*common, "--mode=train", "--config.training.n_iters=3", "--config.training.batch_size=8",
                     "--config.training.eval_freq=0", "--config.training.snapshot_freq=3",
                     "--config.training.snapshot_sampling_batch=4")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    with Image.open(tmp_path / "samples" / "step_00000003_ema.png") as grid:
        assert (grid.width, grid.height) == (5 * (2 * 13 - 1), 5 * (2 * 9 - 1))  # 4 images, enlarged 5 times
    evaluation = ["--config.eval.extractor=pixels", "--config.eval.held_out=False"]
    checked = linnet(*common, "--mode=check", *evaluation, "--config.eval.num_samples=20", "--config.eval.batch_size=8",
                     f"--result_folder={tmp_path / 'result'}")  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    report = json.loads((tmp_path / "result" / "report.json").read_text())
    assert report["n"] == 20 and report["nfe"] == 3 and report["metrics"]["frechet_n20"] > 0
    assert report["rounding"] and report["versions"]["jax"] and report["ema_rate"] == 0.999
    sizes = [len(np.load(path)["samples"]) for path in sorted((tmp_path / "result").glob("samples_?????.npz"))]
    assert sizes == [8, 8, 4]
    again = linnet(*common, "--mode=check", *evaluation, "--config.eval.num_samples=20", "--config.eval.batch_size=8",
                   f"--result_folder={tmp_path / 'result'}", "--config.seed=1")  # fmt: skip
    assert "holds samples made with another seed" in again.stderr and len(again.stderr.strip().splitlines()) == 1


def test_parameters_are_counted_where_no_table_can_be_shown():
    done = linnet("--config=configs/toy/rings_cld.py", "--dry_run", "--config.model.nf=16")
    assert done.returncode == 0, done.stderr
    assert "parameters; the package clu would show a table of them" in done.stdout
    assert "state (parameters, averages, optimiser)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["--config=configs/cld/digits.py", "--mode=train"], "scikit-learn"),
        (
            ["--config=configs/cld/cifar10_accelerated.py", "--mode=train", "--config.data.dataset=tfds/cifar10"],
            "tensorflow-datasets",
        ),
        (["--config=configs/toy/rings_cld.py", "--mode=train", "--wandb"], "wandb"),
        (["--config=configs/toy/rings_cld.py", "--mode=train", "--tensorboard"], "clu tensorflow tensorboard"),
    ],
)
def test_what_is_missing_is_named(arguments, package, tmp_path):
    failed = linnet(*arguments, f"--workdir={tmp_path}")
    assert failed.returncode != 0
    last = failed.stderr.strip().splitlines()
    assert len(last) == 1 and f"pip install {package}" in last[0], last
