"""--mode=train: trains the model of the workdir, from its newest checkpoint if there is one."""

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from linnet.data.source import Source
from linnet.devices import parallel
from linnet.devices.engines import ENGINES
from linnet.engine import classes
from linnet.engine.estimates import first_estimates
from linnet.engine.experiment import Experiment
from linnet.engine.feed import Feed
from linnet.engine.paths import Paths
from linnet.engine.snapshot import Snapshot, make_generators, make_measure
from linnet.engine.start import Start, check_same, note, resume
from linnet.engine.steps import make_evaluate, train_step
from linnet.training import metrics
from linnet.training.checkpoint import Checkpoints, check_finite
from linnet.training.interruption import Interruption
from linnet.training.keeper import Keeper, make_keeper
from linnet.training.lock import locked
from linnet.training.loop import Schedule, train
from linnet.training.objectives.base import Objective
from linnet.training.state import TrainState


def run(experiment: Experiment, use_wandb: bool = False, use_tensorboard: bool = False) -> None:
    """Trains to config.training.n_iters. Files: see engine.paths.

    Raises Preempted once all is on disk after a signal; OSError or RuntimeError where the workdir cannot be had.
    """
    check(experiment.config, experiment.is_carried)
    experiment.complete()
    config, paths = experiment.config, experiment.paths
    with contextlib.ExitStack() as closing:
        if jax.process_index() == 0:
            closing.enter_context(locked(paths.run()))
        checkpoints = closing.enter_context(contextlib.closing(experiment.checkpoints()))
        begin = start(experiment, checkpoints)
        first = int(begin.state.step)
        console = metrics.Console(config.training.n_iters, config.training.batch_size, first)
        writers: list[Any] = []  # opened, as they write, once nothing is refused any more
        parts = prepare(experiment, checkpoints, begin, console, closing)
        interruption = Interruption()
        parts |= measures(experiment, writers, interruption.asked, console.say)
        note(config, paths)
        writers += open_writers(paths, config, console, first, use_wandb, use_tensorboard)
        for writer in writers:
            closing.callback(writer.close)
        del begin  # its state lies on the devices now
        with interruption, closing.pop_all():
            train(**parts, interruption=interruption, console=console, writers=writers)


def start(experiment: Experiment, checkpoints: Checkpoints) -> Start:
    """The Start from the newest checkpoint of the workdir, else from the parameters of --ckpt, else from new ones.

    ValueError where the processes of the run differ, or --ckpt is not what the run of the workdir began from.
    """
    config, paths = experiment.config, experiment.paths
    ckpt = paths.ckpt
    keeps_estimates = experiment.objective.keeps_estimates
    check_same(config, experiment.examples, checkpoints.latest, ckpt)
    if checkpoints.latest is not None:
        state = jax.eval_shape(experiment.create_state)
        return resume(checkpoints, state, paths, json.loads(json.dumps(config.to_dict())), keeps_estimates)
    if ckpt is not None:
        print(f"starting from the parameters of {ckpt}", flush=True)
    state = experiment.create_state() if ckpt is None else experiment.state_of(experiment.trained.params)
    step = None if ckpt is None else experiment.trained.step
    estimates = first_estimates(config, experiment.examples(), experiment.shape, step) if keeps_estimates else None
    return Start(state, estimates, 0, None if ckpt is None else os.path.realpath(ckpt))


def prepare(
    experiment: Experiment,
    checkpoints: Checkpoints,
    begin: Start,
    console: metrics.Console,
    closing: contextlib.ExitStack,
) -> dict[str, Any]:
    """What `training.loop.train` takes of the steps, as keyword arguments.

    closing: an ExitStack for what has to be closed.
    """
    config, objective = experiment.config, experiment.objective
    source = experiment.examples()
    introduce(config, source, experiment.shape, begin.state, experiment.paths.workdir, console.say)
    keeper = make_keeper(config.training, begin.estimates, (len(source), *experiment.shape), console.say)
    schedule = make_schedule(config.training, keeper.stride)
    feed = closing.enter_context(open_feed(config, source, begin, schedule, keeper.put))
    return {
        "state": keeper.place(begin.state.replace(fixed=objective.fixed)),
        "step_fn": keeper.wrap(train_step(objective, config)),
        "batches": feed,
        "schedule": schedule,
        "save": make_save(checkpoints, feed, keeper, config, begin.began_from),
        "check": checkpoints.check,
        "first": keeper.engine.first,
    }


def check(config: ConfigDict, is_carried: bool) -> None:
    """ValueError for a network of another process, or a batch that the devices cannot share."""
    if is_carried:
        raise ValueError(
            f"config.network_sde.name={config.network_sde.name!r} is of a network that is trained already; training is "
            "under config.sde: leave config.network_sde out"
        )
    devices = jax.device_count()
    parts = config.training.grad_accum
    parallel.check_batch(config.training.batch_size, "config.training.batch_size", devices, parts)


def introduce(
    config: ConfigDict,
    source: Source,
    shape: tuple[int, ...],
    state: TrainState,
    workdir: str | None,
    say: Callable[[str], None],
) -> None:
    """Says what is trained, on what, and where it goes."""
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    say(
        f"training {config.model.name} ({count / 1e6:.2f} M parameters) under {config.sde.name} on {len(source)} "
        f"examples of {source.name} {shape}, {jax.device_count()} x {jax.devices()[0].device_kind}; "
        f"everything goes to {workdir}"
    )
    if config.data.classes:
        say(classes.table(config.data.classes))


def make_schedule(training: ConfigDict, stride: int | None) -> Schedule:
    """The Schedule of config.training. stride: steps per dispatch where the keeper prescribes them, else None."""
    return Schedule(
        n_iters=training.n_iters,
        stride=stride or (1 if jax.default_backend() == "cpu" else training.n_jitted_steps),
        log=training.log_freq,
        evaluate=training.eval_freq,
        snapshot=training.snapshot_freq,
        preemption=training.snapshot_freq_for_preemption,
    )


def open_feed(config: ConfigDict, source: Source, begin: Start, schedule: Schedule, put: Callable[..., Any]) -> Feed:
    """The Feed of the steps that are left."""
    return Feed(
        source,
        config.training.batch_size,
        seed=config.seed,
        position=begin.position,
        sizes=schedule.chunks(int(begin.state.step)),
        put=put,
        num_workers=config.data.num_workers,
    )


def open_writers(
    paths: Paths, config: ConfigDict, console: metrics.Console, step: int, use_wandb: bool, use_tensorboard: bool
) -> list[Any]:
    """The writers of process 0; other processes write nothing."""
    if jax.process_index():
        return []
    writers = [console, metrics.JsonLines(paths.run("metrics.jsonl"), step)]
    if use_wandb:
        writers.append(metrics.Wandb(paths.workdir, config))
    if use_tensorboard:
        writers.append(metrics.TensorBoard(paths.run("tensorboard")))
    return writers


def measures(
    experiment: Experiment, writers: list[Any], asked: Callable[[], bool], say: Callable[[str], None]
) -> dict[str, Any]:
    """What `training.loop.train` takes of the measurements, as keyword arguments. asked: see Interruption."""
    evaluate = held_out(experiment.objective, experiment.config, experiment.examples, say)
    return {"snapshot": make_snapshot(experiment, writers, asked), "evaluate": evaluate}


def make_snapshot(
    experiment: Experiment, writers: list[Any], asked: Callable[[], bool] = lambda: False
) -> Callable[..., dict[str, float]]:
    """The Snapshot that config.training asks for, or `nothing`. Statistics are loaded at once."""
    config, training = experiment.config, experiment.config.training
    if not (training.snapshot_sampling and experiment.objective.draws):
        return nothing
    generators = make_generators(experiment.recipe, training)
    measure = None
    if training.snapshot_fid:
        measure = make_measure(config, experiment.picture_shape, experiment.dataset, experiment.paths.workdir)
    folder = experiment.paths.run("samples")

    def own(trees):
        placed = ENGINES[training.engine].own(trees)
        guided = experiment.guided
        return tuple(guided.weights(params, parallel.replicate) for params in placed)

    return Snapshot(generators, training.snapshot_fid, measure, own, experiment.points, folder, writers, asked)


def make_save(
    checkpoints: Checkpoints, feed: Feed, keeper: Keeper, config: ConfigDict, began_from: str | None
) -> Callable[..., None]:
    """save(state, for_good) for the loop: the state is whole in every process, and the first writes it."""

    def save(state, for_good):
        host = ENGINES[config.training.engine].to_host(state.replace(estimates=(), fixed=()))
        estimates = keeper.estimates(state)
        check_finite(host)
        if jax.process_index() == 0:
            checkpoints.save(
                host,
                position=feed.position,
                config=config,
                estimates=estimates,
                for_good=for_good,
                began_from=began_from,
            )

    return save


def held_out(
    objective: Objective, config: ConfigDict, examples: Callable[..., Source], say: Callable[[str], None]
) -> Callable[..., dict[str, float]]:
    """The measurement of eval_loss; `nothing` where there are no test images that the network knows, which is said.

    examples: opens a split of the data.
    """
    try:
        return make_evaluate(objective, config, examples("test"))
    except ValueError as error:
        say(f"no eval_loss: {error}")
        return nothing


def nothing(state: TrainState, step: int) -> dict[str, float]:
    """What there is to write where nothing is measured."""
    return {}
