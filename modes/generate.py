"""Images from parameters: image i of a seed is the same picture at any batch size and on any number of devices."""

import jax
import numpy as np

from data import transforms
from modes.classes import make_condition
from training import parallel


class Generator:
    """batch(params, first) -> images first .. first + batch_size - 1 of config.seed; nfe: of the last batch.

    params: replicated parameters. Images are uint8 (batch_size, H, W, C); points float32 (batch_size, D).
    """

    def __init__(self, experiment, batch_size):
        config, sde, sampler = experiment.config, experiment.sde, experiment.sampler
        parallel.check_batch(batch_size, "config.eval.batch_size")
        self.batch_size, self.nfe = batch_size, None
        shape, eps_net, seed = experiment.shape, experiment.eps_net, config.seed
        condition, guidance = make_condition(config), config.sampling.guidance

        def draw(params, index):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), index)
            prior, noise = jax.numpy.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
            u_T = sde.prior(prior, (len(index), *shape))
            samples = sampler(eps_net.bind(params, condition(index), guidance), noise, u_T)
            x = sde.project(samples.u)
            return transforms.to_uint8(x, config.data.centered) if x.ndim == 4 else x, jax.numpy.asarray(samples.nfe)

        self._draw = parallel.parallel(draw)

    def batch(self, params, first):
        """batch_size images from number `first` on."""
        images, nfe = self._draw(params, parallel.shard(np.arange(first, first + self.batch_size, dtype=np.int32)))
        self.nfe = max(int(np.asarray(shard.data).max()) for shard in nfe.addressable_shards)
        return parallel.unshard(images)


def save_picture(images, path, columns=None):
    """A grid of images with as many columns (None: as rows), or a scatter plot of 2-D points, as PNG."""
    if images.ndim == 4:
        from evaluation.grid import save_grid

        return save_grid(images, path, columns)
    from evaluation.scatter import save_scatter

    return save_scatter(images, path)
