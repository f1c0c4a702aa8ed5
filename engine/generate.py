"""Images from parameters: image i of a seed is the same picture at any batch size and on any number of devices.

Images that are not finite are told apart from black ones: they raise, with the step of the sampler that made them so.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.devices import parallel
from linnet.engine.pictures import as_stored
from linnet.engine.sample_conditions import SampleConditions
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers.base import Samples


def make_sample(seed: int, sde: Any, guided: Any, sampler: Any, shape: tuple[int, ...]) -> Callable[..., Samples]:
    """sample(weights, index (B,), condition) -> Samples: the images of these numbers, see SampleConditions.

    guided: an engine.guides.Guided, which makes the weights. shape: of one image.
    """
    root = key_for(seed, Purpose.SAMPLING)

    def sample(weights, index, condition):
        keys = fold(root, index)
        u_T = sde.prior(fold(keys, Part.PRIOR), (len(index), *shape))
        return sampler(guided.bind(weights, condition), fold(keys, Part.NOISE), u_T)

    return sample


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes images of weights.

    sample_with(**changes): the function of `make_sample`, with other values of some keys of config.sampling. project:
    states -> images or points, each of `shape` and in the range that `centered` says. conditions: of an image by its
    number. decoder: of latents -> uint8 images; None where the process is of the images.
    """

    sample_with: Callable[..., Callable]
    project: Callable
    conditions: SampleConditions
    shape: tuple[int, ...]
    centered: bool
    seed: int
    decoder: Callable | None = None

    def stored(self, x: np.ndarray) -> np.ndarray:
        """x (n, ...) as `project` gives it, on the host -> uint8 images; points as they are."""
        return as_stored(x, self.centered) if self.decoder is None else self.decoder(x)

    def pictures(self, images: np.ndarray) -> np.ndarray:
        """Images (n, ...) as the data have them -> uint8 pictures: latents are decoded."""
        return images if self.decoder is None else self.decoder(images)


class NotFinite(RuntimeError):
    """Says which image holds infinities or NaN, and which step of the sampler made it so."""


class Generator:
    """batch(weights, first) -> images first .. first + batch_size - 1 of config.seed; nfe: the most of any image yet.

    weights: Guided.weights, replicated. Images are uint8 (batch_size, H, W, C); points float32 (batch_size, D).
    images(weights, index, condition) -> (images, nfe, which are finite) is what each device runs.
    changes: keys of config.sampling in place of the recipe's.
    """

    def __init__(self, recipe, batch_size, **changes):
        parallel.check_batch(batch_size, "config.eval.batch_size", jax.local_device_count())
        self.recipe = recipe
        self.changes = changes
        self.batch_size = batch_size
        self.nfe = None
        decoder, sample = recipe.decoder, recipe.sample_with(**changes)

        def images(weights, index, condition):
            samples = sample(weights, index, condition)
            x = recipe.project(samples.u)
            x = as_stored(x, recipe.centered) if decoder is None else x
            return x, jnp.asarray(samples.nfe), jnp.isfinite(samples.u).reshape(len(index), -1).all(1)

        self.images = images
        self._images = parallel.parallel(images)

    def batch(self, weights: dict[str, Any], first: int) -> np.ndarray:
        """batch_size images from number `first` on. NotFinite where there is one that is not."""
        index = np.arange(first, first + self.batch_size, dtype=np.int32)
        images, nfe, finite = self._images(weights, *parallel.shard((index, self.recipe.conditions(index))))
        lost = index[~parallel.unshard(finite)]
        if len(lost):
            raise NotFinite(
                f"image {lost[0]} of seed {self.recipe.seed} is not finite {self._since(weights, lost[0])} "
                f"({len(lost)} of the {self.batch_size} images of its batch, which is not kept): look for NaN in the "
                "checkpoint, too large a config.sampling.guidance or too few config.sampling.nfe"
            )
        self.nfe = max(self.nfe or 0, *(int(np.asarray(shard.data).max()) for shard in nfe.addressable_shards))
        images = parallel.unshard(images)
        return images if self.recipe.decoder is None else self.recipe.decoder(images)

    def _since(self, weights, number):
        """Since when image `number` is not finite, in words: it is drawn once more, by itself, with all its states."""
        sample = self.recipe.sample_with(**self.changes | {"trajectory": True})

        def visited(weights, index, condition):
            path = sample(weights, index, condition).trajectory
            return jnp.asarray(path["t"]), jnp.isfinite(path["u"]).reshape(len(path["u"]), -1).all(1)

        index = np.full(jax.local_device_count(), number, np.int32)
        found = parallel.parallel(visited)(weights, *parallel.shard((index, self.recipe.conditions(index))))
        t, finite = parallel.to_host(found)
        whole = len(t) if finite.all() else int(finite.argmin())
        if whole == 0:
            return f"from t={t[0]:.4g} on"
        end = f"t={t[whole]:.4g}" if whole < len(t) else "the end"
        return f"since step {whole} of {len(t)}, from t={t[whole - 1]:.4g} to {end}"
