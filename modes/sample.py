"""--mode=sample: images of a checkpoint as samples_<k>.npz, going on after those that exist, and pictures.

Of images there is also one samples_<N>x<H>x<W>x<C>.npz for ADM's evaluation (see evaluation.archive), and with
config.eval.png each of them as png/<number>.png. sampling.json says what made them (see engine.record).
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from linnet.devices import parallel, processes
from linnet.engine import record, tables, trajectories
from linnet.engine.experiment import Experiment
from linnet.engine.generate import Generator, Recipe
from linnet.engine.pictures import save_pairs, save_picture
from linnet.engine.progress import progress
from linnet.engine.sample_conditions import SampleConditions
from linnet.evaluation.archive import write_archive
from linnet.evaluation.grid import save_grid
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz

GRID = 64
PAIRS = 32


def run(experiment: Experiment) -> dict[str, Any]:
    """Writes config.eval.num_samples images into the result folder and returns the fields of its report.

    The files are dealt out to the processes; the first one does what concerns all images.
    RuntimeError for an image that is not finite: it is not written.
    """
    config, shape = experiment.config, experiment.shape
    n = config.eval.num_samples
    if n < 1:
        raise ValueError(f"config.eval.num_samples={n} must be at least 1")
    recipe, folder = experiment.recipe, experiment.sample_folder()
    if config.sampling.table:
        tables.tell(config.sampling.table, experiment.trained.hash)
    fields = record.prepare(recipe, experiment.made_by(), folder)
    in_file = fields["batch_size"]
    generator = Generator(recipe, min(config.eval.batch_size, in_file), trajectory=False)
    params = parallel.replicate(experiment.weights)
    files = {}
    for k in range(-(-n // in_file)):
        files[os.path.join(folder, f"samples_{k:05d}.npz")] = min(in_file, n - k * in_file)
    make_missing(generator, params, files, in_file)
    fields["nfe"] = evaluations(generator, params, fields.get("nfe"))
    if processes.is_first():
        record.write(folder, fields)
        shown = min(GRID, n) if len(shape) == 3 else n
        first = np.concatenate([*itertools.islice(stored(files), -(-shown // in_file))])[:shown]
        written = save_pictures(recipe, params, first, experiment.points, folder, config.sampling.trajectory)
        if len(shape) == 3:
            written += save_images(files, folder, (n, *first.shape[1:]), recipe.conditions, config.eval.png)
        print(f"{n} samples in {folder}: {', '.join(written)}")
    processes.wait()
    return fields


def make_missing(generator: Generator, params: dict[str, Any], files: dict[str, int], in_file: int) -> None:
    """Writes this process's share of those {path: number of images} that are not whole; each begins at a multiple."""
    paths = [*files]
    missing = [k for k, path in enumerate(paths) if len(saved(path)) < files[path]]
    for k in progress(processes.dealt(processes.agreed(missing)), f"sampling {sum(files.values())} images"):
        images = images_from(generator, params, k * in_file, files[paths[k]])
        with atomic_write(paths[k]) as file:
            np.savez_compressed(file, samples=images)


def evaluations(generator: Generator, params: dict[str, Any], known: int | None) -> int:
    """Network evaluations of an image: the most that any process needed, else `known`, else those of one batch."""
    needed = max(processes.everyones(generator.nfe or 0)) or known
    if not needed:
        generator.batch(params, 0)
    return needed or generator.nfe


def images_from(generator: Generator, params: dict[str, Any], first: int, n: int) -> np.ndarray:
    """The n images from number `first` on, in as many batches as that takes."""
    batches = [generator.batch(params, first + done) for done in range(0, n, generator.batch_size)]
    return np.concatenate(batches)[:n]


def saved(path: str) -> Any:
    """The samples of a samples_<k>.npz; none where it is absent or damaged."""
    try:
        with open_npz(path) as arrays:
            return arrays["samples"]
    except (ValueError, KeyError):
        return ()


def stored(files: dict[str, int]) -> Iterator[np.ndarray]:
    """The samples of {path: number} in order."""
    for path, rows in files.items():
        yield saved(path)[:rows]


def save_pictures(
    recipe: Recipe, params: dict[str, Any], first: np.ndarray, points: np.ndarray | None, folder: str, trajectory: bool
) -> list[str]:
    """Writes grid.png of the `first` images and the others that were asked for; returns their names.

    params: replicated parameters. points: the training points, None for images. trajectory: whether their way is shown.
    """
    names = ["grid.png"]
    captions = recipe.conditions.names_of(np.arange(len(first)))
    save_picture(first, os.path.join(folder, names[0]), captions=captions, points=points)
    if trajectory:
        trajectories.save_trajectories(recipe, params, points, folder)
        names += ["denoise.png", "progressive.png"]
    low_res = recipe.conditions(np.arange(min(len(first), PAIRS))).get("low_res")
    if low_res is not None:
        names.append("pairs.png")
        save_pairs(low_res, first[: len(low_res)], os.path.join(folder, names[-1]), recipe.centered)
    return names


def save_images(
    files: dict[str, int], folder: str, shape: tuple[int, ...], conditions: SampleConditions, png: bool
) -> list[str]:
    """Writes the archive of all images, of `shape` (N, H, W, C), and with `png` single ones; returns the names."""
    names = [f"samples_{'x'.join(map(str, shape))}.npz"]
    classes = conditions.labels(np.arange(shape[0])) if conditions.classes else None
    write_archive(os.path.join(folder, names[0]), stored(files), shape, classes)
    if png:
        names.append("png/")
        for i, image in enumerate(itertools.chain.from_iterable(stored(files))):
            save_grid(image[None], os.path.join(folder, "png", f"{i:06d}.png"), scale=1)
    return names
