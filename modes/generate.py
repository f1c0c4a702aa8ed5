"""Images from parameters: image i of a seed is the same picture at any batch size and on any number of devices."""

import jax
import numpy as np

from linnet.data import transforms
from linnet.modes.conditions import Conditions
from linnet.training import parallel


def make_draw(experiment, sampler):
    """draw(params, index (B,), told) -> Samples: the images of these numbers; told: their entry of Conditions."""
    config, sde, eps_net, shape = experiment.config, experiment.sde, experiment.eps_net, experiment.shape

    def draw(params, index, told):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(config.seed), index)
        prior, noise = jax.numpy.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        u_T = sde.prior(prior, (len(index), *shape))
        return sampler(eps_net.bind(params, told, config.sampling.guidance), noise, u_T)

    return draw


def as_stored(x, config):
    """x in the range of the model -> uint8 images; points (B, D) as they are."""
    return transforms.to_uint8(x, config.data.centered) if x.ndim == 4 else x


class Generator:
    """batch(params, first) -> images first .. first + batch_size - 1 of config.seed; nfe: the most of any image so far.

    params: replicated parameters. Images are uint8 (batch_size, H, W, C); points float32 (batch_size, D).
    sampler: in place of the experiment's. conditions: the Conditions of the images.
    """

    def __init__(self, experiment, batch_size, sampler=None):
        parallel.check_batch(batch_size, "config.eval.batch_size")
        self.batch_size, self.nfe, self.conditions = batch_size, None, Conditions(experiment)
        draw = make_draw(experiment, sampler or experiment.sampler)

        def images(params, index, told):
            samples = draw(params, index, told)
            x = as_stored(experiment.sde.project(samples.u), experiment.config)
            return x, jax.numpy.asarray(samples.nfe)

        self._images = parallel.parallel(images)

    def batch(self, params, first):
        """batch_size images from number `first` on."""
        index = np.arange(first, first + self.batch_size, dtype=np.int32)
        images, nfe = self._images(params, *parallel.shard((index, self.conditions(index))))
        self.nfe = max(self.nfe or 0, *(int(np.asarray(shard.data).max()) for shard in nfe.addressable_shards))
        return parallel.unshard(images)


def save_picture(images, path, columns=None):
    """A grid of images with as many columns (None: as rows), or scatter plots of 2-D points, as PNG."""
    if images.ndim == 4:
        from linnet.evaluation.grid import save_grid

        return save_grid(images, path, columns)
    from linnet.evaluation.scatter import save_scatter

    return save_scatter(images, path)
