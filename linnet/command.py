"""Linnet's command line, `python main.py` in a clone and `linnet` where it is installed: flags -> config -> mode.

    python main.py --config=configs/cld/digits.py --mode=train --workdir=runs/digits
    python main.py --config=configs/cld/digits.py --mode=check --workdir=runs/digits

Modes
    train      train, or go on with, the model of --workdir
    sample     draw eval.num_samples images from a checkpoint into --result_folder
    fid        score the images in --result_folder against reference statistics
    check      sample, then fid
    fid_stats  make reference statistics of the data set, into the file --result_folder
    eval       loss by time and bits per dimension (probability flow or variational bound) of eval.image_split
    encode     images -> latents -> images along the probability flow, with the error of the reconstruction
    interpolate  a grid of images between pairs of images
    ood        tell outliers (ood.dataset, ood.path) from the images of the data
    inpaint    fill hidden pixels of images, several times; masks drawn or from files
    colorize   colours for grey images
    super_resolution  enlarge images by a network that knows nothing of low resolution
    edit       noise images part of the way and denoise them, or encode them and decode them as another class
    tune       the best times and coefficients for the network, process and budget, as a table (JSON)
    data_report  what the training images hold, and the flags that suit them
    encode_data  the images as latents of an autoencoder, into the file config.data.latents
    report     one HTML page of all that is in --workdir
    ema        averages of the parameters of any width after training (eval.ema_std), as exports
    compare    the reports of several runs (compare.runs) as one table and one picture, into --result_folder
    export     write the parameters of a checkpoint as safetensors, into --result_folder
"""

import contextlib
import importlib
import os
import pathlib
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict

import linnet
from linnet import config_file, environment, overrides, registry, signals
from linnet.config_keys import GROUPS, known
from linnet.configs.kinds import Path, checked

if TYPE_CHECKING:
    from linnet.engine.experiment import Experiment

DEALT = (
    *("sample", "fid", "check", "fid_stats", "eval", "encode", "interpolate", "ood"),
    *("inpaint", "colorize", "super_resolution", "edit", "encode_data"),
)
"""Modes that deal their work out to the processes; of the others, but train, the first process does it all."""

MODES = ("train", *DEALT, "tune", "ema", "compare", "data_report", "report", "export")
PATHS = ("workdir", "ckpt", "result_folder")
FLAGS = flags.FLAGS

flags.DEFINE_string(
    "config",
    None,
    "Experiment: FILE.py, a run's config.json, or its folder (default: that of --workdir, then of --ckpt); "
    "--config.group.key=value changes a key.",
)
flags.DEFINE_string("mode", None, f"What to do; see above: {', '.join(MODES)}.")
flags.DEFINE_string("workdir", None, "Folder of a run: checkpoints, metrics.jsonl, sample grids.")
flags.DEFINE_string("ckpt", None, "Checkpoint to use: a path, or the step of one in --workdir. Else its newest.")
flags.DEFINE_string("result_folder", None, "Where samples, grid and report.json go (or, for fid_stats, the file).")
flags.DEFINE_bool(
    "wandb",
    False,
    "Log to Weights & Biases as well, of other modes than train the pictures; WANDB_MODE=offline needs no account.",
)
flags.DEFINE_bool("tensorboard", False, "Write event files for TensorBoard into --workdir as well.")
flags.DEFINE_bool("dry_run", False, "Print the resolved config, parameters, memory and devices, and stop.")


def main(parsed: tuple[ConfigDict, list[str]]) -> None:
    """Prepares JAX and runs the mode. parsed: what `parse_flags` returns."""
    config, changed = parsed
    logging.set_verbosity(logging.FATAL)  # what Orbax logs as an error is raised as well
    enable_compilation_cache()
    from linnet.devices import distributed, processes
    from linnet.training.checkpoint import versions

    distributed.initialize()
    check_devices()
    distributed.introduce()
    processes.check_same("their config", FLAGS.mode, FLAGS.ckpt, config.to_dict(), linnet.__version__, versions())
    from linnet.engine.experiment import Experiment

    experiment = Experiment(config, FLAGS.workdir, FLAGS.ckpt, FLAGS.result_folder, changed)
    if FLAGS.dry_run:
        from linnet.modes import dry_run

        dry_run.run(experiment)
    elif FLAGS.mode == "train":
        from linnet.modes import train
        from linnet.training.interruption import Preempted

        try:
            train.run(experiment, use_wandb=FLAGS.wandb, use_tensorboard=FLAGS.tensorboard)
        except Preempted as stop:
            signals.leave(stop)
    elif FLAGS.mode in DEALT:
        with logging_pictures(experiment):
            importlib.import_module(f"linnet.modes.{FLAGS.mode}").run(experiment)
    elif processes.is_first():
        with processes.alone(), logging_pictures(experiment):
            importlib.import_module(f"linnet.modes.{FLAGS.mode}").run(experiment)
    processes.wait()


def logging_pictures(experiment: "Experiment") -> contextlib.AbstractContextManager[None]:
    """What tells Weights & Biases the pictures of a mode, in the first process and where --wandb asks for it."""
    from linnet.devices import processes
    from linnet.engine import wandb_pictures

    if not (FLAGS.wandb and processes.is_first()):
        return contextlib.nullcontext()
    return wandb_pictures.logging_pictures(experiment.paths, experiment.config)


def enable_compilation_cache() -> None:
    """Compiled programs are kept in $JAX_COMPILATION_CACHE_DIR or the user's cache folder, from run to run."""
    import jax

    home = os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR", os.path.join(home, "linnet", "compiled"))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        print(f"compiled programs are not cached: {folder}: {error.strerror}", file=sys.stderr)
    else:
        jax.config.update("jax_compilation_cache_dir", folder)


def check_devices() -> None:
    """RuntimeError unless JAX finds a device of the platform that was asked for; it would otherwise fail later."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise RuntimeError(
            f"JAX finds no device for JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: install the accelerator's "
            "extra and driver (in a container: --gpus all), or set JAX_PLATFORMS=cpu"
        ) from error


def parse_flags(argv: Sequence[str]) -> tuple[ConfigDict, list[str]]:
    """(config, the keys that the command line changed); one line and exit status 2 for what is refused."""
    try:
        arguments, texts = overrides.split(FLAGS.read_flags_from_files(argv[1:], force_gnu=False))
        rest = FLAGS([argv[0], *arguments])
        if len(rest) > 1:
            raise flags.Error(f"unexpected argument {rest[1]!r}; flags start with --")
        show_names(texts)
        check_mode()
        for name in PATHS:
            if FLAGS[name].value is not None:
                FLAGS[name].value = checked(f"--{name}", Path(may_be_empty=False), FLAGS[name].value)
        check_groups(texts)
        environment.check()
        return overrides.apply(config_file.load(config_path()), texts), list(texts)
    except BrokenPipeError:  # `--help | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (flags.Error, ValueError, OSError) as error:
        fail(explain(error), status=2)


def show_names(texts: Mapping[str, str]) -> None:
    """Prints the names that keys set to "list" may have, and ends the program; nothing where there are no such keys."""
    if "list" not in texts.values():
        return
    from linnet.engine import names

    wanted = [key for key, text in texts.items() if text == "list" and key in names.LISTED]
    for key in wanted:
        print(names.table(key))
    if wanted:
        sys.exit(0)


def check_mode() -> None:
    """flags.Error unless --mode is one of MODES; --dry_run needs none."""
    mode = FLAGS.mode
    if mode is None and not FLAGS.dry_run:
        raise flags.Error("--mode is missing; python main.py --help shows how to use it")
    if mode is not None:
        registry.check(MODES, mode, "--mode")
    if FLAGS.tensorboard and mode != "train":
        raise flags.Error(f"--tensorboard means nothing to --mode={mode}: event files are those of training")


def check_groups(keys: Iterable[str]) -> None:
    """flags.Error for keys of a group that belongs to another mode."""
    for key in keys:
        group = key.partition(".")[0]
        if group in GROUPS and group != FLAGS.mode:
            raise flags.Error(
                f"config.{key} means nothing to --mode={FLAGS.mode}: the group {group} is that of its mode"
            )
    if "eval.ema_std" in keys and FLAGS.mode != "ema":
        raise flags.Error(
            f"config.eval.ema_std means nothing to --mode={FLAGS.mode}: make the average by --mode=ema, which says "
            "where it is, and take it by --ckpt"
        )


def config_path() -> str:
    """--config, or the config.json of --workdir or --ckpt, which is then printed. flags.Error where one is missing."""
    if FLAGS.config is not None:
        return FLAGS.config
    for folder in filter(None, (FLAGS.workdir, FLAGS.ckpt)):
        path = os.path.join(folder, "config.json")
        if os.path.isfile(path):
            print(f"--config={path}", flush=True)
            return path
    if FLAGS.mode == "compare":
        return "configs/default.py"
    there = f", and {FLAGS.workdir} has no config.json" if FLAGS.workdir else ""
    raise flags.Error(f"--config is missing{there}; python main.py --help shows how to use it")


def explain(error: Exception) -> str:
    """The error's text; for a flag that is a key of the config, with the name that was meant."""
    if isinstance(error, flags.UnrecognizedFlagError):
        keys = [f"config.{key}" for key in known({"sde": {"name": "cld"}, "model": {"name": "ncsnpp"}})[1]]
        return f"there is no --{error.flagname}{registry.suggestion(error.flagname, [*FLAGS, *keys])}"
    return str(error)


def fail(error: BaseException | str, status: int = 1) -> NoReturn:
    """Prints the first line of the error, which says what to do, and ends the program."""
    text = str(error).strip().splitlines()
    more = " (--dry_run shows all of it)" if len(text) > 1 and status == 1 else ""
    print(f"error: {text[0] if text else type(error).__name__}{more}", file=sys.stderr)
    sys.exit(status)


def is_ours(error: BaseException) -> bool:
    """Whether `error` was raised by Linnet's own code, whose messages say what to do, or comes from below it."""
    raised_in = pathlib.Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    root = pathlib.Path(linnet.__path__[-1]).resolve()
    return raised_in.is_relative_to(root) and not raised_in.is_relative_to(root / ".venv")


def guarded_main(argv: tuple[ConfigDict, list[str]]) -> None:
    """main, with one line for the errors that Linnet raises on purpose and a traceback for all others."""
    try:
        main(argv)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if signals.interrupted.is_set():
            raise
        if is_ours(error):
            fail(error)
        from linnet.devices import distributed

        if not distributed.is_lost(error):
            raise
        fail(f"{distributed.CURE} ({str(error).splitlines()[0]})")


def run() -> None:
    """The command `linnet`, and what main.py runs."""
    sys.modules["__main__"].__doc__ = __doc__  # what --help shows
    signals.end_at_second_interrupt()
    try:
        app.run(guarded_main, flags_parser=parse_flags)
    except BaseException as error:
        if not signals.interrupted.is_set():
            signals.abandon(error)
            raise
        fail("interrupted", signals.INTERRUPTED)
