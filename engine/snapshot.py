"""Sample grids and distances during training, from fixed seeds.

config.training.snapshot_nfe lists numbers of network evaluations; each has its grids, of the averaged and of the raw
parameters, and its distance over config.training.snapshot_fid images of the averaged ones. Samples that are not finite
cost the grid or the distance, not the training.
"""

import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet.data.source import Source
from linnet.devices import parallel, processes
from linnet.engine import reference, score_points
from linnet.engine.generate import Generator, NotFinite, Recipe
from linnet.engine.pictures import save_picture
from linnet.evaluation.collect import Collector
from linnet.evaluation.report import compute_metrics, metric_key
from linnet.training.state import TrainState


class Snapshot:
    """snapshot(state, step) writes step_<step>_<kind>.png and returns scalars, by number of evaluations.

    To be called in all processes: the first draws the grids into the folder, and the images of the distances are dealt
    out. asked() in all processes: whether to stop. It is asked before every batch, and what is not done then is left
    out. generators: {suffix: Generator}, see `make_generators`. n: images of a distance. new_measure: see
    `make_measure`; None for no distance. own: of the engine that trains (see devices.engines). points: the training
    points (N, D) to show below; None for images.
    """

    def __init__(self, generators, n, new_measure, own, points, folder, writers, asked=lambda: False):
        self.generators = generators
        self.n = n
        self.new_measure = new_measure
        self.own = own
        self.points = points
        self.folder = folder
        self.writers = writers
        self.asked = asked

    def __call__(self, state: TrainState, step: int) -> dict[str, float]:
        """{name: distance} of a state on the devices; {} where none is asked for, or could not be had."""
        ema, raw = self.own((state.ema[0], state.params))
        for suffix, kind in itertools.product(self.generators, ("ema", "raw")):
            if self.asked():
                return {}
            if processes.is_first():
                self.grid(ema if kind == "ema" else raw, step, kind, suffix)
        return self.distances(ema) if self.new_measure else {}

    def grid(self, params: dict[str, Any], step: int, kind: str, suffix: str) -> None:
        """Writes a grid, and tells the writers."""
        generator = self.generators[suffix]
        path = os.path.join(self.folder, f"step_{step:08d}_{kind}{suffix}.png")
        try:
            images = generator.batch(params, 0)
        except NotFinite as error:
            print(f"step {step}: no grid of {kind}{suffix} samples: {error}", flush=True)
            return
        captions = generator.recipe.conditions.names_of(np.arange(len(images)))
        save_picture(images, path, captions=captions, points=self.points)
        for writer in self.writers:
            writer.image(step, kind + suffix, path)

    def distances(self, params: dict[str, Any]) -> dict[str, float]:
        """{"<metric><suffix>": distance of n images, or points, to the data}."""
        found = {}
        for suffix, generator in self.generators.items():
            measure = self.new_measure()
            failures = [text for text in processes.everyones(self.images(generator, params, measure)) if text]
            if self.asked():
                break
            if failures:
                print(f"no distance{suffix}: {failures[0]}", flush=True)
                continue
            name, value = measure.finish()
            found[name + suffix] = value
        return found

    def images(self, generator: Generator, params: dict[str, Any], measure: Any) -> str:
        """Adds this process's share of n images, batch by batch; says what failed, or ""."""
        failure = ""
        starts = range(0, self.n, generator.batch_size)
        mine = processes.dealt(starts)
        for k in range(len(starts[:: processes.count()])):  # the first process has the most
            if self.asked():
                break
            if k >= len(mine) or failure:
                continue
            try:
                measure.add(mine[k], generator.batch(params, mine[k])[: self.n - mine[k]])
            except NotFinite as error:
                failure = str(error)
        return failure


def make_generators(recipe: Recipe, training: ConfigDict) -> dict[str, Generator]:
    """{suffix: Generator} for each of config.training.snapshot_nfe, or the one of config.sampling. ValueError for
    batches that the devices cannot share."""
    numbers = tuple(training.snapshot_nfe)
    changes = {f"_nfe{nfe}": {"nfe": nfe, "respacing": None} for nfe in numbers} or {"": {}}
    size = training.snapshot_sampling_batch
    parallel.check_batch(size, "config.training.snapshot_sampling_batch", jax.local_device_count())
    return {suffix: Generator(recipe, size, **keys) for suffix, keys in changes.items()}


class Frechet:
    """The first metric of images by eval.extractor."""

    def __init__(self, extractor, statistics):
        self.collector = Collector(extractor, keep=reference.KEEP)
        self.statistics = statistics

    def add(self, first: int, images: np.ndarray) -> None:
        """Counts uint8 images (n, H, W, C), whose numbers are first, first + 1, ..."""
        self.collector.add(first, images)

    def finish(self) -> tuple[str, float]:
        """(name, value)."""
        metrics = compute_metrics(self.collector.finish(), self.statistics, self.collector.extractor)
        return next(iter(metrics.items()))


class Sliced:
    """SW_2 of points to those of a source."""

    def __init__(self, source):
        self.source = source
        self.found = []

    def add(self, first: int, points: np.ndarray) -> None:
        """Counts points (n, D)."""
        self.found.append(points)

    def finish(self) -> tuple[str, float]:
        """(name, value)."""
        mine = {"points": np.concatenate(self.found)} if self.found else {}
        points = np.concatenate([part["points"] for part in processes.gather(mine) if part])
        return metric_key(score_points.NAME, len(points)), score_points.distance(points, self.source)


def make_measure(
    config: ConfigDict, shape: tuple[int, ...], dataset: Callable[..., Source], folder: str
) -> Callable[[], Any]:
    """new_measure() -> what `add`s images and `finish`es as (name, value): Frechet, or Sliced for points.

    shape: of one of them. dataset: opens a split of the data. folder: where statistics are kept that have to be made.
    """
    split = config.eval.split
    if len(shape) == 1:
        return functools.partial(Sliced, dataset(split))
    extractor, statistics = reference.prepare(config, shape)
    if statistics is None:
        statistics = reference.make_reference(dataset(split), split, extractor, folder, config.data.num_workers)
    return functools.partial(Frechet, extractor, statistics)
