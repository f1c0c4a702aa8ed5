"""--mode=sample: images of a checkpoint as samples_<k>.npz, going on after those that exist, and a grid."""

import json
import os

import numpy as np

from data.transforms import ROUNDING_RULE
from evaluation.atomic import atomic_write
from modes.generate import Generator, save_picture
from training import parallel
from training.checkpoint import versions
from training.state import ema_rates

GRID = 64


def run(experiment):
    """Writes config.eval.num_samples images into the result folder and returns the fields of its report."""
    config, folder = experiment.config, experiment.result_folder
    n, batch_size = config.eval.num_samples, config.eval.batch_size
    params = experiment.trained
    generator = Generator(experiment, batch_size)
    fields = describe(experiment)
    claim(folder, fields)
    replicated, first = parallel.replicate(params), None
    for k in progress(range(-(-n // batch_size)), f"sampling {n} images"):
        path = os.path.join(folder, f"samples_{k:05d}.npz")
        if not os.path.exists(path):
            images = generator.batch(replicated, k * batch_size)[: n - k * batch_size]
            with atomic_write(path) as file:
                np.savez_compressed(file, samples=images)
        if k == 0:
            with np.load(path) as saved:
                first = saved["samples"]
    picture = os.path.join(folder, "grid.png")
    save_picture(first[:GRID] if first.ndim == 4 else first, picture)
    fields["nfe"] = generator.nfe or recorded_nfe(folder, generator, replicated)
    write_fields(folder, fields)
    print(f"{n} samples in {folder}, picture {picture}")
    return fields


def describe(experiment):
    """What decides the samples, for the record."""
    config = experiment.config
    rate = {"ema_rate": ema_rates(config)[0]} if config.eval.params == "ema" else {}
    return {
        "checkpoint": os.path.basename(os.path.normpath(experiment.checkpoint)),
        "seed": config.seed,
        "params": config.eval.params,
        **rate,
        "sampling": config.sampling.to_dict(),
        "sde": config.sde.to_dict(),
        "model": config.model.to_dict(),
        "batch_size": config.eval.batch_size,
        "rounding": ROUNDING_RULE,
        "versions": versions(),
    }


def claim(folder, fields):
    """Notes `fields` in the folder; ValueError when it holds samples that were made otherwise."""
    path = os.path.join(folder, "sampling.json")
    if os.path.exists(path):
        with open(path) as file:
            found = json.load(file)
        wanted = json.loads(json.dumps(fields))
        different = [key for key in wanted if key != "versions" and found.get(key) != wanted[key]]
        if different:
            raise ValueError(
                f"{folder} holds samples made with another {', '.join(different)}; "
                "delete it or choose another --result_folder"
            )
    else:
        write_fields(folder, fields)


def write_fields(folder, fields):
    """sampling.json, whole or not at all."""
    with atomic_write(os.path.join(folder, "sampling.json")) as file:
        file.write(json.dumps(fields, indent=2).encode())


def recorded_nfe(folder, generator, params):
    """Evaluations per image of samples that an earlier run finished."""
    with open(os.path.join(folder, "sampling.json")) as file:
        nfe = json.load(file).get("nfe")
    if nfe is None:
        generator.batch(params, 0)
    return nfe or generator.nfe


def progress(items, text):
    """`items` with a bar on a terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=text, unit="batch", disable=None)
