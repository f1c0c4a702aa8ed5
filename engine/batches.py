"""The images of config.eval.image_split for modes eval, encode and interpolate: in batches of one size, with keys."""

import jax
import numpy as np

from linnet.data import NoSplit, pipeline
from linnet.data.keys import seed_key
from linnet.devices import parallel


def examples(experiment):
    """The split with the labels that the network knows. NoSplit says which key chooses another."""
    try:
        return experiment.examples(experiment.config.eval.image_split)
    except NoSplit as error:
        raise NoSplit(f"{error}; or take other images by config.eval.image_split=train") from error


def first_images(experiment, n):
    """The first n examples of the split: {"image" (n, ...) as the data set delivers them, "label" (n,), "index"}."""
    source = examples(experiment)
    n = min(n, len(source))
    return next(pipeline.one_pass(source, n, num_workers=experiment.config.data.num_workers))


def number_of_images(experiment, default=None):
    """config.eval.num_images, where 0 stands for `default` or the whole split; no more than there are."""
    available = len(examples(experiment))
    return min(experiment.config.eval.num_images or default or available, available)


def batch_size(experiment, total):
    """config.eval.batch_size, or less for fewer than these `total` images. ValueError if devices cannot share it."""
    config, devices = experiment.config, jax.device_count()
    parallel.check_batch(config.eval.batch_size, "config.eval.batch_size")
    return min(config.eval.batch_size, -(-total // devices) * devices)


def fixed_batches(experiment, total):
    """(batch as in `first_images`, how many rows count) for `total` images: the last is filled up with its own."""
    config, size = experiment.config, batch_size(experiment, total)
    source = examples(experiment)
    for k, batch in enumerate(pipeline.one_pass(source, size, num_workers=config.data.num_workers)):
        kept = min(size, total - k * size)
        if kept <= 0:
            return
        rows = np.arange(size) % kept
        yield {key: values[rows] for key, values in batch.items()}, kept


def keys_of(seed, index, repeat):
    """Three keys for each image (B, 3): image and repeat decide them, not the batch."""
    key = jax.random.fold_in(seed_key(seed), repeat)
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i), 3))(index)
