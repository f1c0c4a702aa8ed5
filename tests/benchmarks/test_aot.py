"""The programs that are compiled ahead, and what is made of what XLA says of them; on the devices at hand."""

import jax
import numpy as np
import pytest

from benchmarks.aot import CHIPS, compiled, judged
from benchmarks.flops import count
from benchmarks.programs import sampling, training
from configs.toy.rings_cld import get_config
from devices import mesh
from engine import steps
from engine.experiment import Experiment
from training.step import in_parts

BATCH, STEPS = 8, 3


@pytest.fixture(scope="module")
def experiment():
    config = get_config()
    config.model.update(nf=16, num_res_blocks=1)
    config.sampling.nfe = 4
    return Experiment(config)


def products(params):
    """FLOPs of one evaluation for one example: two for each entry of a matrix."""
    return sum(2 * leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2)


def test_the_training_step_holds_the_state_and_its_products(experiment):
    devices = mesh.mesh_of(jax.devices())
    run, arguments = training(experiment, devices, BATCH, STEPS)
    found = compiled(run, arguments)
    state, batch = arguments
    held = mesh.bytes_on_device(state, devices.size) + STEPS * BATCH * batch["image"].shape[-1]
    assert held == pytest.approx(found["argument_bytes"], rel=0.02)  # XLA pads small arrays, JAX drops unused labels
    once = products(state.params) * BATCH * STEPS
    assert 2 * once < sum(found["products"].values()) <= 3 * once  # nothing is led back to what is given


def test_parts_of_a_batch_are_a_loop_unless_the_program_is_for_a_cpu(experiment, monkeypatch):
    """By the devices of the mesh, whatever compiles it."""
    monkeypatch.setattr(steps, "make_train_step", lambda *_, unrolled, **__: unrolled)
    monkeypatch.setattr(mesh, "parallel_steps", lambda step, _: step)
    for_cpu, _ = training(experiment, mesh.mesh_of(jax.devices()), BATCH, STEPS)
    for_tpu = steps.own_step(experiment.objective, experiment.config, "tpu")
    for unrolled, written in ((for_cpu, "unroll=2"), (for_tpu, "unroll=1")):
        gradient = in_parts(lambda params, fixed, x: (x.sum(), x), 2, unrolled)
        assert written in str(jax.make_jaxpr(gradient)(np.zeros(()), (), np.zeros(4)))


def test_the_sampler_evaluates_its_network_nfe_times(experiment):
    run, arguments = sampling(experiment, mesh.mesh_of(jax.devices()[:1]), BATCH, None)
    assert sum(count(run.trace(*arguments).jaxpr).values()) == 4 * products(arguments[0]) * BATCH


def test_bounds_are_those_of_the_chip():
    """A program of 100 images that takes 1 % of what a chip does in a second."""
    peak = CHIPS["v5e"]
    found = dict.fromkeys(("argument_bytes", "result_bytes", "code_bytes"), 0)
    found |= {"temporary_bytes": peak["memory"] / 4, "argument_bytes": peak["memory"] / 2}
    found |= {"flops": peak["flops_per_s"] / 100, "hbm_bytes": peak["bytes_per_s"] / 50}
    found["bytes"] = 3 * found["hbm_bytes"]
    found["products"] = {"bfloat16": found["flops"], "float32": found["flops"]}
    found["traffic"] = 2 * found["hbm_bytes"]
    seen = judged(found, "v5e", 100, 2)
    assert seen["share_of_memory"] == 0.75 and seen["largest_batch"] == 200
    assert seen["images_per_s_by_flops"] == pytest.approx(1e4) and seen["images_per_s"] == pytest.approx(5e3)
    assert seen["hbm_bytes_over_needed"] == pytest.approx(1 / (1 + peak["memory"] / found["hbm_bytes"]))
    assert seen["flops_over_products"] == pytest.approx(1) and seen["products_in_float32"] == pytest.approx(0.5)
