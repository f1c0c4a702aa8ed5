"""Sample grids and distances during training, from fixed seeds.

config.training.snapshot_nfe lists numbers of network evaluations; each has its grids, of the averaged and of the raw
parameters, and its distance over config.training.snapshot_fid images of the averaged ones.
"""

import jax

from evaluation.collect import collect
from evaluation.report import compute_metrics
from modes import fid, fid_stats
from modes.generate import Generator, save_picture
from training import parallel


class Snapshot:
    """snapshot(state, step) writes samples/step_<step>_<kind>.png and returns scalars, by number of evaluations."""

    def __init__(self, experiment, writers):
        self.experiment, self.writers, self.training = experiment, writers, experiment.config.training
        numbers = tuple(self.training.snapshot_nfe)
        samplers = {f"_nfe{nfe}": experiment.sampler_with(nfe=nfe) for nfe in numbers} or {"": experiment.sampler}
        batch_size = self.training.snapshot_sampling_batch
        self.generators = {
            suffix: Generator(experiment, batch_size, sampler=sampler) for suffix, sampler in samplers.items()
        }
        self.reference = None

    def __call__(self, state, step):
        for suffix, generator in self.generators.items():
            for kind, params in (("ema", state.ema[0]), ("raw", state.params)):
                path = self.experiment.path("samples", f"step_{step:08d}_{kind}{suffix}.png")
                images = generator.batch(params, 0)
                if jax.process_index() == 0:
                    save_picture(images, path)
                for writer in self.writers:
                    writer.image(step, kind + suffix, path)
        return self.distances(state.ema[0]) if self.training.snapshot_fid else {}

    def distances(self, params):
        """{"<metric><suffix>": distance of config.training.snapshot_fid images to the reference statistics}."""
        if self.reference is None:
            extractor = fid_stats.load_extractor(self.experiment.config)
            self.reference = fid.load_reference(self.experiment, extractor), extractor
        statistics, extractor = self.reference
        found = {}
        for suffix, generator in self.generators.items():
            metrics = compute_metrics(
                collect(extractor, self.images(generator, params), keep=fid_stats.KEEP), statistics, extractor
            )
            name = next(iter(metrics))
            found[name + suffix] = metrics[name]
        return found

    def images(self, generator, params):
        """config.training.snapshot_fid images in batches."""
        n = self.training.snapshot_fid
        for first in range(0, n, generator.batch_size):
            yield generator.batch(params, first)[: n - first]


def make_snapshot(experiment, writers):
    """The Snapshot of config.training; ValueError for batches that the devices cannot share, before training starts."""
    parallel.check_batch(experiment.config.training.snapshot_sampling_batch, "config.training.snapshot_sampling_batch")
    return Snapshot(experiment, writers)
