"""The compiled steps of training, mapped over the devices, as a config asks for them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from linnet.data import pipeline
from linnet.data.source import Source
from linnet.devices.engines import ENGINES
from linnet.training.conditions import make_conditions
from linnet.training.objectives.base import Objective
from linnet.training.optimizer import create_optimizer
from linnet.training.state import ema_rates
from linnet.training.step import TrainStep, make_eval_step, make_train_step


def train_step(objective: Objective, config: ConfigDict) -> Callable[..., Any]:
    """(state, batches) -> (state, metrics), see parallel_steps of config.training.engine."""
    return ENGINES[config.training.engine].parallel_steps(own_step(objective, config, jax.default_backend()))


def own_step(objective: Objective, config: ConfigDict, platform: str) -> TrainStep:
    """The TrainStep of one device of a platform ("cpu", "gpu", "tpu"), which need not be at hand."""
    return make_train_step(
        objective,
        create_optimizer(config),
        ema_rates(config),
        seed=config.seed,
        settings=config.data,
        grad_accum=config.training.grad_accum,
        conditions=make_conditions(config),
        ema_stds=config.training.ema_stds,
        unrolled=platform == "cpu",
    )


def make_evaluate(objective: Objective, config: ConfigDict, source: Source) -> Callable[..., dict[str, float]]:
    """evaluate(state, step) -> {"eval_loss": ...}: EMA parameters, one batch of the source, always the same noise.

    Classifiers have an "eval_accuracy" as well.
    """
    eval_step = make_eval_step(objective, seed=config.seed, settings=config.data, conditions=make_conditions(config))
    engine = ENGINES[config.training.engine]
    batch = None

    @engine.parallel_measure
    def measure(copied, batch):
        params, fixed = copied
        return eval_step(params, jnp.zeros((), jnp.int32), batch, fixed)

    def evaluate(state, step):
        """{"eval_" + name: mean over the batch, float}; the batch is read at the first call."""
        nonlocal batch
        if batch is None:
            batches = pipeline.batches(
                source,
                config.training.batch_size,
                seed=config.seed,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            read = next(batches)
            batch = engine.shard({"image": read["image"], "label": read["label"]})
        found = engine.first(measure((state.ema[0], state.fixed), batch))
        return {f"eval_{name}": float(value) for name, value in found.items()}

    return evaluate
