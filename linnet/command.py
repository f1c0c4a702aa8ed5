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
    data_report  what the training images hold, and the flags that suit them
    export     write the parameters of a checkpoint as safetensors, into --result_folder
"""

import importlib
import os
import sys
import traceback
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

import linnet
from linnet import signals

MODES = ("train", "sample", "fid", "check", "fid_stats", "eval", "encode", "interpolate", "data_report", "export")
FLAGS = flags.FLAGS

config_flags.DEFINE_config_file("config", None, "Experiment file; --config.group.key=value changes a key.")
flags.DEFINE_enum("mode", None, MODES, "What to do; see above.")
flags.DEFINE_string("workdir", None, "Folder of a run: checkpoints, metrics.jsonl, sample grids.")
flags.DEFINE_string("ckpt", None, "Checkpoint to use instead of the newest of --workdir.")
flags.DEFINE_string("result_folder", None, "Where samples, grid and report.json go (or, for fid_stats, the file).")
flags.DEFINE_bool("wandb", False, "Log to Weights & Biases as well; WANDB_MODE=offline needs no account.")
flags.DEFINE_bool("tensorboard", False, "Write event files for TensorBoard into --workdir as well.")
flags.DEFINE_bool("dry_run", False, "Print the resolved config, parameters, memory and devices, and stop.")


def main(argv):
    """Prepares JAX and runs the mode."""
    del argv
    logging.set_verbosity(logging.FATAL)  # what Orbax logs as an error is raised as well
    enable_compilation_cache()
    from linnet.devices import distributed

    distributed.initialize()
    check_devices()
    if FLAGS.config.sampling.method == "list":
        from linnet import samplers

        print(samplers.table())
        return
    from linnet.engine.experiment import Experiment

    overrides = config_flags.get_override_values(FLAGS["config"])
    experiment = Experiment(FLAGS.config, FLAGS.workdir, FLAGS.ckpt, FLAGS.result_folder, overrides)
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
    else:
        importlib.import_module(f"linnet.modes.{FLAGS.mode}").run(experiment)


def enable_compilation_cache():
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


def check_devices():
    """RuntimeError unless JAX finds a device of the platform that was asked for; it would otherwise fail later."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise RuntimeError(
            f"JAX finds no device for JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: install the accelerator's "
            "extra and driver (in a container: --gpus all), or set JAX_PLATFORMS=cpu"
        ) from error


def parse_flags(argv):
    """absl's parser, with one line and exit status 2 for what it refuses."""
    try:
        rest = FLAGS(argv)
        if len(rest) > 1:
            raise flags.Error(f"unexpected argument {rest[1]!r}; flags start with --")
        for name in ("config", "mode"):
            if FLAGS[name].value is None and not (name == "mode" and FLAGS.dry_run):
                raise flags.Error(f"--{name} is missing; python main.py --help shows how to use it")
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        fail(error, status=2)
    return rest


def fail(error, status=1):
    """Prints the first line of the error, which says what to do, and ends the program."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip().splitlines()
    more = " (--dry_run shows all of it)" if len(text) > 1 and status == 1 else ""
    print(f"error: {text[0] if text else type(error).__name__}{more}", file=sys.stderr)
    sys.exit(status)


def is_ours(error):
    """Whether `error` was raised by Linnet's own code, whose messages say what to do, or comes from below it."""
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    root = Path(linnet.__path__[-1]).resolve()
    return raised_in.is_relative_to(root) and not raised_in.is_relative_to(root / ".venv")


def guarded_main(argv):
    """main, with one line for the errors that Linnet raises on purpose and a traceback for all others."""
    try:
        main(argv)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if signals.interrupted.is_set() or not is_ours(error):
            raise
        fail(error)


def run():
    """The command `linnet`, and what main.py runs."""
    sys.modules["__main__"].__doc__ = __doc__  # what --help shows
    signals.end_at_second_interrupt()
    try:
        app.run(guarded_main, flags_parser=parse_flags)
    except BaseException:
        if not signals.interrupted.is_set():
            raise
        fail("interrupted", signals.INTERRUPTED)
