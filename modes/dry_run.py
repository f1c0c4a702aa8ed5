"""--dry_run: what a command would do, without doing it."""

from typing import Any

import jax
from ml_collections import ConfigDict

from linnet import interop
from linnet.devices.engines import ENGINES
from linnet.engine import trained
from linnet.engine.experiment import Experiment
from linnet.training.conditions import make_conditions
from linnet.training.objectives.base import Objective


def run(experiment: Experiment) -> None:
    """Prints the config, the parameter table (clu), an estimate of memory, how --ckpt fits, sampling, and the devices.

    ValueError for a sampler that cannot be built.
    """
    print(experiment.config)
    state = jax.eval_shape(experiment.create_state)
    print(overview(state.params))
    size = ENGINES[experiment.config.training.engine].bytes_on_device(state, jax.device_count())
    batch = experiment.config.training.batch_size // jax.device_count()
    kept = activations(experiment.config, experiment.objective, state.params, (batch, *experiment.shape))
    print(f"state (parameters, averages, optimiser): {size / 2**20:.1f} MiB on each device")
    print(f"activations of a step of {batch} images per device: about {kept / 2**20:.0f} MiB")
    config, ckpt = experiment.config, experiment.paths.ckpt
    if ckpt is not None:
        report = interop.report(ckpt, experiment.trained_config, config.eval.params, shape=experiment.shape)
        print(trained.about_process(report, config))
    if experiment.objective.draws:
        print(f"sampling: {experiment.sampling['method']}, {experiment.sampler.nfe} evaluations an image")
    print(f"devices: {jax.device_count()} x {jax.devices()[0].device_kind} ({jax.default_backend()})")


def overview(params: dict[str, Any]) -> str:
    """The table of the parameters, by clu; their number where that is not installed, or no newer jax can import it."""
    try:
        from clu import parameter_overview
    except Exception as error:
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        return f"{count:,} parameters; the package clu would show a table of them ({error}): pip install clu"
    return parameter_overview.get_parameter_overview(params, include_stats=False)


def activations(config: ConfigDict, objective: Objective, params: dict[str, Any], shape: tuple[int, ...]) -> int:
    """Bytes of the values that the backward pass of the loss keeps: an upper estimate, before XLA's fusion."""
    conditions = make_conditions(config)
    batch = shape[0]
    x = jax.ShapeDtypeStruct(shape, "float32")
    t = jax.ShapeDtypeStruct((batch,), "float32")

    def losses(params, x, t):
        keys = jax.random.split(jax.random.key(0), batch)
        condition = conditions({"label": jax.numpy.zeros(batch, int)}, x, None)
        return jax.vjp(lambda params: objective.losses(params, x, keys, t, condition=condition), params)

    _, pullback = jax.eval_shape(losses, params, x, t)
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pullback))
    return max(kept - sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params)), 0)
