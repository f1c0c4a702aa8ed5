"""--mode=sample: images of a checkpoint as samples_<k>.npz, going on after those that exist, and pictures.

Of images there is also one samples_<N>x<H>x<W>x<C>.npz for ADM's evaluation (see evaluation.archive).
"""

import json
import os

import numpy as np

from linnet.data.transforms import ROUNDING_RULE
from linnet.evaluation.archive import write_archive
from linnet.files.atomic import atomic_write
from linnet.modes import pictures
from linnet.modes.generate import Generator, save_picture
from linnet.training import parallel
from linnet.training.checkpoint import versions
from linnet.training.state import ema_rates

GRID = 64


def run(experiment):
    """Writes config.eval.num_samples images into the result folder and returns the fields of its report."""
    config, folder = experiment.config, experiment.result_folder
    n, batch_size = config.eval.num_samples, config.eval.batch_size
    if n < 1:
        raise ValueError(f"config.eval.num_samples={n} must be at least 1")
    params = experiment.trained
    generator = Generator(experiment, batch_size, experiment.sampler_with(trajectory=False))
    fields = describe(experiment)
    claim(folder, fields)
    replicated, files = parallel.replicate(params), {}
    for k in progress(range(-(-n // batch_size)), f"sampling {n} images"):
        path, rows = os.path.join(folder, f"samples_{k:05d}.npz"), min(batch_size, n - k * batch_size)
        if not os.path.exists(path) or len(load(path)) < rows:
            images = generator.batch(replicated, k * batch_size)[:rows]
            with atomic_write(path) as file:
                np.savez_compressed(file, samples=images)
        files[path] = rows
    written = save_pictures(experiment, generator, replicated, load(next(iter(files))), folder)
    fields["nfe"] = generator.nfe or recorded_nfe(folder, generator, replicated)
    write_fields(folder, fields)
    if len(experiment.shape) == 3:
        shape = (n, *experiment.shape)
        written.append(f"samples_{'x'.join(map(str, shape))}.npz")
        classes = generator.conditions.labels(np.arange(n)) if generator.conditions.classes else None
        batches = (load(path)[:rows] for path, rows in files.items())
        write_archive(os.path.join(folder, written[-1]), batches, shape, classes)
    print(f"{n} samples in {folder}: {', '.join(written)}")
    return fields


def load(path):
    """The images of a samples_<k>.npz."""
    with np.load(path) as saved:
        return saved["samples"]


def save_pictures(experiment, generator, params, first, folder):
    """Writes grid.png of the `first` images and the others that were asked for; returns their names."""
    config, names = experiment.config, ["grid.png"]
    save_picture(first[:GRID] if first.ndim == 4 else first, os.path.join(folder, names[0]))
    if config.sampling.trajectory:
        pictures.save_trajectories(experiment, generator.conditions, params, folder)
        names += ["denoise.png", "progressive.png"]
    low_res = generator.conditions(np.arange(min(len(first), pictures.PAIRS))).get("low_res")
    if low_res is not None:
        names.append("pairs.png")
        pictures.save_pairs(low_res, first[: len(low_res)], os.path.join(folder, names[-1]), config.data.centered)
    return names


def describe(experiment):
    """What decides the samples, for the record."""
    config = experiment.config
    data, super_resolution = config.data, config.model.get("super_resolution", False)
    low_res = {"low_res": data.low_res_path or f"{data.dataset} {config.eval.image_split}"} if super_resolution else {}
    rate = {"ema_rate": ema_rates(config)[0]} if experiment.kind == "ema" and experiment.ckpt is None else {}
    return {
        "checkpoint": os.path.basename(os.path.normpath(experiment.checkpoint)),
        "seed": config.seed,
        "params": experiment.kind,
        **rate,
        "sampling": experiment.way_of_sampling,
        "sde": config.sde.to_dict(),
        "model": config.model.to_dict(),
        **low_res,
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


def progress(items, text, total=None):
    """`items` with a bar on a terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=text, total=total, unit="batch", disable=None)
