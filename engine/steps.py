"""The compiled steps of training, mapped over the devices, as a config asks for them."""

import jax
import jax.numpy as jnp

from linnet.data import pipeline
from linnet.devices.engines import ENGINES
from linnet.training.conditions import make_conditions
from linnet.training.optimizer import create_optimizer
from linnet.training.state import ema_rates
from linnet.training.step import make_eval_step, make_train_step


def train_step(objective, config):
    """(state, batches) -> (state, metrics), see parallel_steps of config.training.engine."""
    return ENGINES[config.training.engine].parallel_steps(own_step(objective, config))


def own_step(objective, config):
    """The TrainStep of one device."""
    return make_train_step(
        objective,
        create_optimizer(config),
        ema_rates(config),
        seed=config.seed,
        data=config.data,
        grad_accum=config.training.grad_accum,
        conditions=make_conditions(config),
        ema_stds=config.training.ema_stds,
    )


def make_evaluate(objective, config, source):
    """evaluate(state, step) -> {"eval_loss": ...}: EMA parameters, one batch of the source, always the same noise."""
    eval_step = make_eval_step(objective, seed=config.seed, data=config.data, conditions=make_conditions(config))
    engine = ENGINES[config.training.engine]
    batch = None

    @engine.parallel_measure
    def measure(copied, batch):
        params, fixed = copied
        return eval_step(params, jnp.zeros((), jnp.int32), batch, fixed)

    def evaluate(state, step):
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
        return {"eval_loss": float(engine.first(measure((state.ema[0], state.fixed), batch)))}

    return evaluate
