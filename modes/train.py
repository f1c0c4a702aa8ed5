"""--mode=train: trains the model of the workdir, from its newest checkpoint if there is one."""

import contextlib

import jax

from linnet.data import pipeline
from linnet.devices import parallel
from linnet.engine import classes
from linnet.engine.snapshot import Snapshot
from linnet.engine.start import start
from linnet.training import metrics
from linnet.training.checkpoint import check_finite
from linnet.training.conditions import make_conditions
from linnet.training.interruption import Interruption
from linnet.training.keeper import make_keeper
from linnet.training.lock import locked
from linnet.training.loop import Schedule, train
from linnet.training.optimizer import create_optimizer
from linnet.training.state import ema_rates
from linnet.training.step import make_eval_step, make_train_step


def run(experiment, use_wandb=False, use_tensorboard=False):
    """Trains to config.training.n_iters. Files: config.json, checkpoints/, metrics.jsonl, samples/.

    Raises Preempted once all is on disk after a signal; OSError or RuntimeError where the workdir cannot be had.
    """
    training = experiment.config.training
    parallel.check_batch(training.batch_size, parts=training.grad_accum)
    complete(experiment)
    with contextlib.ExitStack() as closing:
        if jax.process_index() == 0:
            closing.enter_context(locked(experiment.path()))
        checkpoints = experiment.checkpoints()
        closing.callback(checkpoints.close)
        begin = start(experiment, checkpoints)
        console = metrics.Console(training.n_iters, training.batch_size, int(begin.state.step))
        introduce(experiment, begin.state, console)
        keeper = make_keeper(experiment, begin.memory, console.say)
        writers = open_writers(experiment, console, int(begin.state.step), use_wandb, use_tensorboard)
        for writer in writers:
            closing.callback(writer.close)
        stride = keeper.stride or (1 if jax.default_backend() == "cpu" else training.n_jitted_steps)
        chunks = closing.enter_context(prefetch(experiment, begin, stride, keeper))
        snapshot = Snapshot(experiment, writers) if training.snapshot_sampling else lambda state, step: {}
        evaluate = make_evaluate(experiment, console.say)
        with Interruption() as interruption, closing.pop_all():
            train(
                keeper.place(begin.state),
                keeper.wrap(train_step(experiment)),
                lambda n: next(chunks),
                schedule(training, stride),
                save=make_save(experiment, checkpoints, begin, keeper),
                check=checkpoints.check,
                snapshot=snapshot,
                evaluate=lambda state, step: evaluate(state),
                interruption=interruption,
                console=console,
                writers=writers,
            )


def complete(experiment):
    """Writes into the config what it leaves to the data."""
    config, dataset = experiment.config, experiment.examples()
    with config.ignore_type():
        config.data.classes = dataset.class_names if config.model.get("num_classes", 0) else ()
        config.data.image_size = tuple(experiment.shape[:2]) if len(experiment.shape) == 3 else 0
        config.data.num_channels = experiment.shape[-1]


def introduce(experiment, state, console):
    """Says what is trained, on what, and where it goes."""
    config, dataset = experiment.config, experiment.examples()
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    console.say(
        f"training {config.model.name} ({count / 1e6:.2f} M parameters) under {config.sde.name} on {len(dataset)} "
        f"examples of {dataset.name} {experiment.shape}, {jax.device_count()} x {jax.devices()[0].device_kind}; "
        f"everything goes to {experiment.workdir}"
    )
    if config.data.classes:
        console.say(classes.table(config.data.classes))


def prefetch(experiment, begin, stride, keeper):
    """What the steps of each dispatch take, placed ahead by the keeper in a background thread."""
    config, training = experiment.config, experiment.config.training
    batches = pipeline.batches(
        experiment.examples(),
        training.batch_size,
        seed=config.seed,
        start=begin.position,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_workers=config.data.num_workers,
    )
    sizes = chunk_sizes(int(begin.state.step), training.n_iters, stride)
    return pipeline.prefetch(([next(batches) for _ in range(n)] for n in sizes), keeper.put)


def make_save(experiment, checkpoints, begin, keeper):
    """save(state, for_good) for the loop: the state is whole in every process, and the first writes it."""

    def save(state, for_good):
        host, memory = parallel.to_host(state.replace(memory=())), keeper.rows(state)
        check_finite(host)
        taken = int(host.step) - int(begin.state.step)
        if jax.process_index() == 0:
            checkpoints.save(
                host,
                position=begin.position + taken * experiment.config.training.batch_size,
                config=experiment.config,
                memory=memory,
                for_good=for_good,
                began_from=begin.began_from,
            )

    return save


def chunk_sizes(step, n_iters, stride):
    """Steps of each dispatch from `step` to `n_iters`."""
    return (min(stride, n_iters - begin) for begin in range(step, n_iters, stride))


def schedule(training, stride):
    """The Schedule of config.training."""
    return Schedule(
        n_iters=training.n_iters,
        stride=stride,
        log=training.log_freq,
        evaluate=training.eval_freq,
        snapshot=training.snapshot_freq,
        preemption=training.snapshot_freq_for_preemption,
    )


def train_step(experiment):
    """The compiled step, mapped over the devices."""
    config = experiment.config
    return parallel.parallel_steps(
        make_train_step(
            experiment.objective,
            create_optimizer(config),
            ema_rates(config),
            seed=config.seed,
            data=config.data,
            grad_accum=config.training.grad_accum,
            conditions=make_conditions(config),
        )
    )


def open_writers(experiment, console, step, use_wandb, use_tensorboard):
    """The writers of process 0; other processes write nothing."""
    if jax.process_index():
        return []
    writers = [console, metrics.JsonLines(experiment.path("metrics.jsonl"), step)]
    if use_wandb:
        writers.append(metrics.Wandb(experiment.workdir, experiment.config))
    if use_tensorboard:
        writers.append(metrics.TensorBoard(experiment.path("tensorboard")))
    return writers


def make_evaluate(experiment, say=print):
    """evaluate(state) -> {"eval_loss": ...}: EMA parameters, one test batch, always the same noise.

    {} where there are no test images that the network can be told of, which is said at once.
    """
    config = experiment.config
    try:
        held_out = experiment.examples("test")
    except ValueError as error:
        say(f"no eval_loss: {error}")
        return lambda state: {}
    step = parallel.parallel(
        make_eval_step(
            experiment.objective,
            seed=config.seed,
            data=config.data,
            conditions=make_conditions(config),
        )
    )
    batch = None

    def evaluate(state):
        nonlocal batch
        if batch is None:
            batches = pipeline.batches(
                held_out,
                config.training.batch_size,
                seed=config.seed,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            )
            read = next(batches)
            batch = parallel.shard({"image": read["image"], "label": read["label"]})
        number = parallel.replicate(jax.numpy.zeros((), jax.numpy.int32))
        return {"eval_loss": float(parallel.first(step(state.ema[0], number, batch)))}

    return evaluate
