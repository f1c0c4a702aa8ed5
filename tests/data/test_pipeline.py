"""Positions, resumption, slices of processes, and streaming against memory, on a zip of 23 distinct images."""

import itertools
import os
import signal
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

import data
from data import source
from data.pipeline import batches, one_pass, permutation
from tests.conftest import ROOT

N = 23


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "numbers.zip"
    with zipfile.ZipFile(path, "w") as z:
        for i in range(N):
            encoded = BytesIO()
            Image.fromarray(np.full((3, 5), i, np.uint8)).save(encoded, "PNG")
            z.writestr(f"{'even' if i % 2 == 0 else 'odd'}_{i:02d}.png", encoded.getvalue())
    return path


def open_source(path):
    return data.get_dataset(ConfigDict({"data": {"dataset": "folder", "path": str(path)}}))


@pytest.fixture(scope="module")
def numbers(archive):
    return open_source(archive)


@pytest.fixture
def streamed(archive, monkeypatch):
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    opened = open_source(archive)
    assert opened.arrays() is None
    return opened


def take(iterator, number):
    taken = list(itertools.islice(iterator, number))
    iterator.close()
    return {key: np.concatenate([batch[key] for batch in taken]) for key in ("image", "label", "index")}


def assert_equal(a, b):
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])


def test_every_epoch_is_a_permutation_and_epochs_and_seeds_differ(numbers):
    epochs = take(batches(numbers, 6, seed=3), N)["index"].reshape(6, N)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(N))
    other = take(batches(numbers, 6, seed=4), 4)["index"]
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], other[:N])


def test_places_of_the_permutation_are_uniform():
    orders = np.stack([permutation(0, epoch, 5) for epoch in range(2000)])
    counts = np.stack([(orders == example).sum(axis=0) for example in range(5)])
    assert np.abs(counts - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


def test_an_example_carries_its_own_image_and_label(numbers):
    batch = take(batches(numbers, 6, seed=0), 8)
    value = batch["image"][:, 0, 0, 0]
    names = sorted(f"{'even' if i % 2 == 0 else 'odd'}_{i:02d}" for i in range(N))
    np.testing.assert_array_equal(value, [int(names[i][-2:]) for i in batch["index"]])
    np.testing.assert_array_equal(batch["label"], value % 2)
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == batch["index"].dtype == np.int32


@pytest.mark.parametrize("start", [1, 17, N, 5 * N + 2])
def test_resuming_at_any_position_continues_the_sequence(numbers, start):
    whole = take(batches(numbers, 1, seed=5), start + 40)
    resumed = take(batches(numbers, 8, seed=5, start=start), 5)
    assert_equal({key: value[start:] for key, value in whole.items()}, resumed)


@pytest.mark.parametrize("process_count", [2, 3])
def test_slices_of_the_processes_make_up_the_global_batch(numbers, process_count):
    single = [take(batches(numbers, 12, seed=1, start=12 * k), 1) for k in range(5)]
    for k, batch in enumerate(single):
        slices = [
            take(batches(numbers, 12, seed=1, start=12 * k, process_index=p, process_count=process_count), 1)
            for p in range(process_count)
        ]
        assert_equal(batch, {key: np.concatenate([s[key] for s in slices]) for key in batch})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_streaming_equals_memory(numbers, streamed, num_workers):
    expected = take(batches(numbers, 12, seed=2, start=7, process_index=1, process_count=2), 9)
    got = batches(streamed, 12, seed=2, start=7, process_index=1, process_count=2, num_workers=num_workers)
    assert_equal(expected, take(got, 9))


WORKERS = """
import itertools, os, sys, time
import linnet
from linnet.configs.default import get_config
from linnet.data import get_dataset, pipeline, source
if __name__ == "__main__":
    source.IN_MEMORY_BYTES = 0
    config = get_config()
    config.data.update(dataset="folder", path=sys.argv[1], image_size=0, num_channels=0)
    batches = pipeline.batches(get_dataset(config), 2, seed=0, num_workers=2)
    for k in itertools.count():
        next(batches)
        print(k, flush=True)
        time.sleep(0.01)
"""


def test_workers_are_deaf_to_the_signals_of_the_job_and_end_with_their_parent(tmp_path):
    """They would die by Ctrl-C at once; at SIGKILL nobody tells them."""
    code = tmp_path / "read.py"
    code.write_text(WORKERS)
    (tmp_path / "images").mkdir()
    for i in range(4):
        Image.new("L", (4, 4), i).save(tmp_path / "images" / f"{i}.png")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    parent = subprocess.Popen([sys.executable, code, tmp_path / "images"], env=environment, stdout=subprocess.PIPE)
    parent.stdout.readline()
    workers = children(parent.pid)
    assert len(workers) >= 2
    for number in (signal.SIGINT, signal.SIGTERM):
        for worker in workers:
            os.kill(worker, number)
    for _ in range(50):  # more than what was read ahead
        parent.stdout.readline()
    assert parent.poll() is None and children(parent.pid) == workers
    parent.kill()
    parent.wait()
    deadline = time.time() + 30
    while any(running(worker) for worker in workers) and time.time() < deadline:
        time.sleep(0.1)
    assert not any(running(worker) for worker in workers)


def children(pid):
    """Numbers of the processes that process `pid` has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def running(pid):
    """Whether process `pid` is there, and no zombie that nobody has waited for."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_one_pass_is_every_example_once_in_order(numbers, streamed):
    parts = list(one_pass(numbers, 10))
    assert [len(part["index"]) for part in parts] == [10, 10, 3]
    whole = take(one_pass(numbers, 10), None)
    np.testing.assert_array_equal(whole["index"], np.arange(N))
    assert_equal(whole, take(one_pass(streamed, 10), None))


def test_chosen_batches_of_one_pass(numbers, streamed):
    for examples in (numbers, streamed):
        read = list(one_pass(examples, 5, numbers=[1, 4]))
        assert [part["index"].tolist() for part in read] == [list(range(5, 10)), list(range(20, N))]
        assert list(one_pass(examples, 5, numbers=[])) == []


def test_without_shuffling_the_order_repeats(numbers):
    index = take(batches(numbers, 10, seed=0, shuffle=False), 5)["index"]
    np.testing.assert_array_equal(index, np.arange(50) % N)


def test_a_batch_that_does_not_divide_by_the_processes_is_refused(numbers):
    with pytest.raises(ValueError, match="batch of 10 .* 4 processes"):
        batches(numbers, 10, seed=0, process_count=4)


def test_a_corrupt_image_is_named_while_streaming(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"'b\.png'"):
        list(one_pass(open_source(tmp_path), 1))


def test_streaming_without_grain_names_the_package(streamed, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(ImportError, match="pip install grain"):
        next(batches(streamed, 4, seed=0))
