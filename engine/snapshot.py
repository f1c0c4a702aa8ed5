"""Sample grids and distances during training, from fixed seeds.

config.training.snapshot_nfe lists numbers of network evaluations; each has its grids, of the averaged and of the raw
parameters, and its distance over config.training.snapshot_fid images of the averaged ones. Samples that are not finite
cost the grid or the distance, not the training.
"""

import jax
import numpy as np

from linnet.devices import parallel
from linnet.engine import reference, score_points
from linnet.engine.generate import Generator, NotFinite
from linnet.engine.pictures import save_picture
from linnet.evaluation.collect import collect
from linnet.evaluation.report import compute_metrics, metric_key


class Snapshot:
    """snapshot(state, step) writes samples/step_<step>_<kind>.png and returns scalars, by number of evaluations.

    Statistics are loaded at once; ValueError for batches that the devices cannot share.
    """

    def __init__(self, experiment, writers):
        self.experiment = experiment
        self.writers = writers
        self.training = experiment.config.training
        numbers = tuple(self.training.snapshot_nfe)
        changes = {f"_nfe{nfe}": {"nfe": nfe, "respacing": None} for nfe in numbers} or {"": {}}
        batch_size = self.training.snapshot_sampling_batch
        parallel.check_batch(batch_size, "config.training.snapshot_sampling_batch")
        self.generators = {suffix: Generator(experiment, batch_size, **keys) for suffix, keys in changes.items()}
        self.points = experiment.points
        self.measure = make_measure(experiment) if self.training.snapshot_fid else None

    def __call__(self, state, step):
        for suffix, generator in self.generators.items():
            for kind, params in (("ema", state.ema[0]), ("raw", state.params)):
                path = self.experiment.paths.run("samples", f"step_{step:08d}_{kind}{suffix}.png")
                try:
                    images = generator.batch(params, 0)
                except NotFinite as error:
                    print(f"step {step}: no grid of {kind}{suffix} samples: {error}", flush=True)
                    continue
                if jax.process_index() == 0:
                    captions = generator.conditions.names_of(np.arange(len(images)))
                    save_picture(images, path, captions=captions, points=self.points)
                for writer in self.writers:
                    writer.image(step, kind + suffix, path)
        return self.distances(state.ema[0]) if self.measure else {}

    def distances(self, params):
        """{"<metric><suffix>": distance of config.training.snapshot_fid images, or points, to the data}."""
        found = {}
        for suffix, generator in self.generators.items():
            try:
                name, value = self.measure(self.images(generator, params))
            except NotFinite as error:
                print(f"no distance{suffix}: {error}", flush=True)
                continue
            found[name + suffix] = value
        return found

    def images(self, generator, params):
        """config.training.snapshot_fid images in batches."""
        n = self.training.snapshot_fid
        for first in range(0, n, generator.batch_size):
            yield generator.batch(params, first)[: n - first]


def make_measure(experiment):
    """measure(batches) -> (name, value): the first metric of images by eval.extractor; SW_2 of points."""
    config = experiment.config
    if len(experiment.shape) == 1:
        source = experiment.dataset(config.eval.split)

        def sliced(batches):
            points = np.concatenate(list(batches))
            return metric_key(score_points.NAME, len(points)), score_points.distance(points, source)

        return sliced
    extractor, statistics = reference.prepare(config)
    if statistics is None:
        source, folder = experiment.dataset(config.eval.split), experiment.paths.workdir
        statistics = reference.make_reference(source, config.eval.split, extractor, folder, config.data.num_workers)

    def frechet(batches):
        metrics = compute_metrics(collect(extractor, batches, keep=reference.KEEP), statistics, extractor)
        return next(iter(metrics.items()))

    return frechet
