"""--mode=train: trains the model of the workdir, from its newest checkpoint if there is one."""

import json
import os

import jax

from linnet.data import pipeline
from linnet.files.atomic import atomic_write
from linnet.modes import classes
from linnet.modes.estimates import make_keeper
from linnet.modes.snapshot import Snapshot
from linnet.training import metrics, parallel
from linnet.training.conditions import make_conditions
from linnet.training.loop import Preempted, Schedule, train
from linnet.training.optimizer import create_optimizer
from linnet.training.state import ema_rates
from linnet.training.step import make_eval_step, make_train_step


def run(experiment, use_wandb=False):
    """Trains to config.training.n_iters. Files: config.json, checkpoints/, metrics.jsonl, samples/."""
    config, training = experiment.config, experiment.config.training
    parallel.check_batch(training.batch_size, parts=training.grad_accum)
    dataset = experiment.examples()
    with config.ignore_type():
        config.data.classes = dataset.class_names if config.model.get("num_classes", 0) else ()
        config.data.image_size = tuple(experiment.shape[:2]) if len(experiment.shape) == 3 else 0
        config.data.num_channels = experiment.shape[-1]
    state, position, checkpoints = start(experiment)
    console = metrics.Console(training.n_iters, training.batch_size, int(state.step))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    console.say(
        f"training {config.model.name} ({count / 1e6:.2f} M parameters) under {config.sde.name} on {len(dataset)} "
        f"examples of {dataset.name} {experiment.shape}, {jax.device_count()} x {jax.devices()[0].device_kind}; "
        f"everything goes to {experiment.workdir}"
    )
    if config.data.classes:
        console.say(classes.table(config.data.classes))
    keeper = make_keeper(experiment, checkpoints, console.say)
    writers = open_writers(experiment, console, int(state.step), use_wandb)
    batches = pipeline.batches(
        dataset,
        training.batch_size,
        seed=config.seed,
        start=position,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_workers=config.data.num_workers,
    )
    stride = keeper.stride or (1 if jax.default_backend() == "cpu" else training.n_jitted_steps)
    sizes = chunk_sizes(int(state.step), training.n_iters, stride)
    chunks = pipeline.prefetch(([next(batches) for _ in range(n)] for n in sizes), keeper.put)
    begin = int(state.step)
    snapshot = Snapshot(experiment, writers) if training.snapshot_sampling else None

    def save(state):
        host = parallel.to_host(state.replace(memory=()))
        consumed = position + (int(host.step) - begin) * training.batch_size
        checkpoints.save(host, position=consumed, config=config, memory=keeper.rows(state))

    try:
        train(
            keeper.place(state),
            keeper.wrap(train_step(experiment)),
            lambda n: next(chunks),
            schedule(training, stride),
            save=save,
            snapshot=snapshot,
            evaluate=make_evaluate(experiment, console.say),
            console=console,
            writers=writers,
        )
    except Preempted as stop:
        console.say(str(stop))
    finally:
        chunks.close()
        checkpoints.close()
        for writer in writers:
            writer.close()


def start(experiment):
    """(state on the host, examples consumed, checkpoints): from the newest checkpoint of the workdir, else from the
    parameters of --ckpt, else from the beginning."""
    checkpoints = experiment.checkpoints()
    os.makedirs(experiment.path("samples"), exist_ok=True)
    text = json.dumps(experiment.config.to_dict(), indent=2)
    with atomic_write(experiment.path("config.json")) as file:
        file.write(text.encode())
    if checkpoints.latest is None and experiment.ckpt is None:
        return experiment.create_state(), 0, checkpoints
    if checkpoints.latest is None:
        print(f"starting from the parameters of {experiment.ckpt}", flush=True)
        return experiment.state_of(experiment.trained), 0, checkpoints
    state, meta = checkpoints.restore(jax.eval_shape(experiment.create_state))
    print(f"resuming {experiment.workdir} at step {int(state.step)}", flush=True)
    for key, (old, new) in changes(meta["config"], json.loads(text)).items():
        print(f"  config.{key} was {old}, is now {new}", flush=True)
    return state, meta["position"], checkpoints


def changes(old, new, prefix=""):
    """{key: (old, new)} of the leaves in which two nested dicts differ."""
    found = {}
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= changes(a, b, f"{prefix}{key}.")
        elif a != b:
            found[prefix + key] = (a, b)
    return found


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
        snapshot=training.snapshot_freq if training.snapshot_sampling else 0,
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


def open_writers(experiment, console, step, use_wandb):
    """The writers of process 0; other processes write nothing."""
    if jax.process_index():
        return []
    writers = [console, metrics.JsonLines(experiment.path("metrics.jsonl"), step)]
    if use_wandb:
        writers.append(metrics.Wandb(experiment.workdir, experiment.config))
    board = metrics.TensorBoard.load(experiment.path("tensorboard"))
    return writers + [board] * (board is not None)


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
