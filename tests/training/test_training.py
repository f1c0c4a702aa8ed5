"""Whole runs through the command line's own code: resuming, devices, interruption, files and messages."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from engine.experiment import Experiment
from tests.conftest import FAST_COMPILATION, ROOT
from training.checkpoint import Checkpoints

STEPS = 60


def arguments(workdir, *more, config="rings_cld"):
    """A run of STEPS steps of a small MLP on rings, with a checkpoint every 10."""
    return [
        sys.executable,
        "main.py",
        f"--config=configs/toy/{config}.py",
        "--mode=train",
        f"--workdir={workdir}",
        "--config.model.nf=16",
        "--config.model.num_res_blocks=1",
        "--config.model.dropout=0.1",
        "--config.data.num_points=1000",
        "--config.training.batch_size=32",
        f"--config.training.n_iters={STEPS}",
        "--config.training.log_freq=10",
        "--config.training.eval_freq=30",
        "--config.training.snapshot_freq=60",
        "--config.training.snapshot_freq_for_preemption=10",
        "--config.training.snapshot_sampling_batch=64",
        "--config.training.snapshot_fid=128",
        *more,
    ]


def environment(devices=1):
    flags = f"--xla_force_host_platform_device_count={devices} {FAST_COMPILATION}"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}


def run(workdir, *more, devices=1, config="rings_cld"):
    command = arguments(workdir, *more, config=config)
    done = subprocess.run(command, cwd=ROOT, env=environment(devices), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(workdir, *more, config="rings_cld", **variables):
    """A run that goes on; `variables` join its environment. It keeps few programs, as it may be killed at it."""
    few = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    return subprocess.Popen(
        arguments(workdir, *more, config=config), cwd=ROOT, env=environment() | few | variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def start_two_processes(workdir, *more, config="rings_cld", only_second=()):
    """Two processes of one run; `only_second` are flags of the second."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = {"LINNET_COORDINATOR": address, "LINNET_PROCESSES": "2"}
    return [
        start(workdir, *more, *(only_second if i else ()), config=config, **both, LINNET_PROCESS_ID=str(i))
        for i in range(2)
    ]


def run_in_two_processes(workdir, *more, config="rings_cld"):
    processes = start_two_processes(workdir, *more, config=config)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs


def leaves(workdir):
    """All arrays of the newest checkpoint, as saved."""
    from configs.toy.rings_cld import get_config

    config = get_config()
    config.model.update(nf=16, num_res_blocks=1)
    state, meta, _ = Checkpoints(workdir / "checkpoints").restore(jax.eval_shape(Experiment(config).create_state))
    assert int(state.step) == STEPS and meta["position"] == STEPS * 32
    return jax.tree.leaves(state)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    return workdir, run(workdir, "--wandb")


def test_a_run_leaves_its_record(undisturbed):
    workdir, output = undisturbed
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert sorted(losses) == list(range(10, STEPS + 1, 10))
    assert {line["step"] for line in lines if "eval_loss" in line} == {30, 60}
    first = next(line for line in lines if "loss" in line)
    assert {"grad_norm", "images_per_s", "memory_gib", "loss_q0", "loss_q1", "loss_q2", "loss_q3"} <= first.keys()
    np.testing.assert_allclose(
        np.mean([first[f"loss_q{i}"] for i in range(4)]), first["loss"], rtol=1e-4
    )  # 8 per quartile
    for kind in ("ema", "raw"):
        assert (workdir / "samples" / f"step_00000060_{kind}.png").stat().st_size > 1000
    assert "compiling" in output and f"step {STEPS}/{STEPS}" in output and "ETA" in output
    assert json.loads((workdir / "config.json").read_text())["model"]["nf"] == 16
    assert list((workdir / "wandb").glob("offline-run-*"))
    assert losses[STEPS] < losses[10]


def test_resuming_equals_an_undisturbed_run_bit_for_bit(undisturbed, tmp_path):
    run(tmp_path, "--config.training.n_iters=23")
    output = run(tmp_path)
    assert "resuming" in output and "config.training.n_iters was 23, is now 60" in output
    for a, b in zip(leaves(undisturbed[0]), leaves(tmp_path), strict=True):
        np.testing.assert_array_equal(a, b)
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_devices_may_change_between_one_and_two(undisturbed, tmp_path):
    """1 -> 2 -> 1 devices, the two under the other engine, which divides moments and averages between them."""
    for stop, devices, engine in ((20, 1, "pmap"), (40, 2, "mesh"), (STEPS, 1, "pmap")):
        run(tmp_path, f"--config.training.n_iters={stop}", f"--config.training.engine={engine}", devices=devices)
    assert_same_up_to_rounding(undisturbed[0], tmp_path)


def test_processes_may_change_and_one_may_stop_or_die(undisturbed, tmp_path):
    """2 -> 1 -> 2 processes, each feeding its rows of the batch: the first two are asked to stop at different moments,
    of the last two one is killed, then the other. The distances of snapshots are measured by both. The end is that of
    the engine whose processes hold parts of the state.
    """
    step = asked_to_stop(start_two_processes(tmp_path, *UNHURRIED), tmp_path)
    run(tmp_path, f"--config.training.n_iters={step + 7}")
    for killed in (0, 1):
        loses_one(start_two_processes(tmp_path, *UNHURRIED), killed)
    run_in_two_processes(tmp_path, "--config.training.engine=mesh")
    assert_same_up_to_rounding(undisturbed[0], tmp_path)
    found, wanted = ([line for line in records(folder) if SLICED in line][-1] for folder in (tmp_path, undisturbed[0]))
    assert found["step"] == STEPS and found[SLICED] == pytest.approx(wanted[SLICED], rel=1e-5)


UNHURRIED = ("--config.training.snapshot_freq=3",)  # pictures take longer than a signal does
SLICED = "sliced_wasserstein_n128"


def asked_to_stop(processes, workdir):
    """The second process is asked by SIGTERM, the first a little later by SIGINT: both end well, at one step."""
    until(processes[0], "step 10/")
    processes[1].send_signal(signal.SIGTERM)
    time.sleep(0.02)
    processes[0].send_signal(signal.SIGINT)
    step = stopped_at(processes[0], "SIGINT")
    assert f"stopped by SIGTERM at step {step};" in processes[1].communicate(timeout=120)[0]
    assert processes[1].returncode == 0 and Checkpoints(workdir / "checkpoints").latest == step < STEPS
    return step


def loses_one(processes, killed):
    """One process is killed: the other ends soon, by itself or by JAX, and its last line says what to do."""
    until(processes[0], "step ")
    processes[killed].kill()
    output, _ = processes[1 - killed].communicate(timeout=60)
    assert processes[1 - killed].returncode != 0, output
    last = output.splitlines()[-1]
    assert last.startswith("error: a process of this run has ended") and "with the same command" in last, output
    processes[killed].communicate()


def records(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def assert_same_up_to_rounding(expected, found):
    """Sums are taken in another order, so equal within 1e-6 of each array's largest entry."""
    for a, b in zip(leaves(expected), leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(a).max(initial=0)))


def test_gradient_accumulation_is_the_whole_batch(undisturbed, tmp_path):
    run(tmp_path, "--config.training.grad_accum=4")
    assert_same_up_to_rounding(undisturbed[0], tmp_path)


def test_sigkill_at_random_moments_changes_nothing(undisturbed, tmp_path):
    """LINNET_KILLS says how often (2 unless set); the first run is killed once it trains, later ones at any moment."""
    delay = random.Random(0)
    for kill in range(int(os.environ.get("LINNET_KILLS", "2"))):
        process = start(tmp_path)
        if kill == 0:
            until(process, "step ")
        time.sleep(delay.uniform(0, 1.0 if kill == 0 else 6.0))
        process.kill()
        process.communicate()
    run(tmp_path)
    for a, b in zip(leaves(undisturbed[0]), leaves(tmp_path), strict=True):
        np.testing.assert_array_equal(a, b)


ENDLESS = ("--config.training.n_iters=1000000", "--config.training.snapshot_freq_for_preemption=9999")


def until(process, beginning):
    """Reads what the process says up to a line that begins so."""
    for line in process.stdout:
        if line.startswith(beginning):
            return


def stopped_at(process, asked):
    """The step at which a process says that it stopped, as its only further word but for the record."""
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    (line,) = (line for line in rest.splitlines() if not line.startswith("step "))
    assert line.startswith(f"stopped by {asked} at step ") and "the state is saved" in line
    return int(line.split(" at step ")[1].split(";")[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits(tmp_path, number):
    """During training, or (SIGINT) during a sample grid of many evaluations, which is heard of no more."""
    grid = ("snapshot_freq=20", "snapshot_nfe=(2000,)", "snapshot_sampling_batch=16384")
    grid = [f"--config.training.{change}" for change in grid]
    process = start(tmp_path, *ENDLESS, *(grid if number == signal.SIGINT else []))
    until(process, "step 20/")
    process.send_signal(number)
    step = stopped_at(process, number.name)
    assert Checkpoints(tmp_path / "checkpoints").latest == step
    if number == signal.SIGINT:
        assert step == 20 and not list((tmp_path / "samples").iterdir())


def test_a_signal_to_one_process_stops_all_at_one_step(tmp_path):
    processes = start_two_processes(tmp_path, *ENDLESS, "--config.training.snapshot_freq=0")
    until(processes[0], "step 20/")
    processes[1].send_signal(signal.SIGTERM)
    step = stopped_at(processes[0], "a signal to another process")
    assert f"stopped by SIGTERM at step {step};" in processes[1].communicate(timeout=120)[0]
    assert processes[1].returncode == 0 and Checkpoints(tmp_path / "checkpoints").latest == step


def test_processes_of_different_configs_are_refused(tmp_path):
    processes = start_two_processes(tmp_path, only_second=("--config.optim.lr=3e-3",))
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode != 0 and "error: the processes differ in their config" in output, output
    assert not (tmp_path / "config.json").exists()


def test_the_same_command_twice_is_refused(tmp_path):
    process = start(tmp_path, *ENDLESS)
    until(process, "step ")
    lines = fails(*ENDLESS, workdir=tmp_path)
    assert len(lines) == 1 and f"process {process.pid} on" in lines[0] and "trains there" in lines[0], lines
    process.send_signal(signal.SIGTERM)
    stopped_at(process, "SIGTERM")


def fails(*more, workdir="unused"):
    done = subprocess.run(arguments(workdir, *more), cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()


def test_a_non_finite_loss_stops_the_run(tmp_path):
    run(tmp_path, "--config.training.n_iters=20")
    lines = fails("--config.optim.lr=1e30", "--config.optim.grad_clip=-1", "--config.optim.warmup=0", workdir=tmp_path)
    assert len(lines) == 1, lines
    assert "the loss became" in lines[0] and "last good checkpoint is at step 20" in lines[0] and "optim.lr" in lines[0]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.training.grad_accum=5", "config.training.batch_size=32 is not divisible by 1 devices times 5 parts"),
        ("--config.data.dataset=digitz", "did you mean digits"),
        ("--config.sde.beta_min=3", "means nothing to 'cld'"),
        ("stray", "unexpected argument 'stray'"),  # more of the parser's in tests/command
    ],
)
def test_bad_input_gets_one_line(flag, message, tmp_path):
    lines = fails(flag, workdir=tmp_path)
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines


def test_help_is_quick():
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "main.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert time.perf_counter() - start < 2 and "--workdir" in done.stdout
