"""Scores of single images by which outliers are told from images of the data, batch by batch, for --mode=ood.

NAME@FACTOR is a score of engine.reconstruct at one level, NAME its geometric mean over the levels, to which each counts
alike whatever its scale. With config.ood.bits there are

    bits         bits per dimension, by the flow or the bound (engine.flow_bits, engine.bound_bits)
    complexity   bits - those of the PNG file                          (arXiv:1909.11480)
    typicality   |bits - their mean over training images|              (arXiv:1906.02994, for single images)

What was found is kept batch by batch (engine.parts), so that an interrupted run goes on after it.
"""

import copy
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.arrays import Array
from linnet.data import NoSplit
from linnet.data.source import Source
from linnet.devices import parallel
from linnet.engine.batches import fixed_batches, over_batches
from linnet.engine.open_data import open_split
from linnet.engine.parts import Parts, decisive
from linnet.engine.progress import progress
from linnet.engine.reconstruct import PERCEPTUAL, SCORES
from linnet.evaluation.complexity import png_bits

TINY = 1e-12
"""Below every error of float32 images; keeps the logarithm of a perfect reconstruction finite."""

OF_BITS = ("bits", "complexity", "typicality")


def open_outliers(config: ConfigDict, shape: Sequence[int]) -> Source:
    """The test images of config.ood.dataset and path, all of them where there is no such split.

    ValueError where they are not of the `shape` (H, W, C) that the network takes.
    """
    named = copy.deepcopy(config)
    with named.ignore_type():
        named.data.update(dataset=config.ood.dataset, path=config.ood.path, image_size=0, num_channels=0, crop=0)
    try:
        source = open_split(named, "test")
    except NoSplit:
        source = open_split(named, "train")
    if tuple(source.shape) != tuple(shape):
        theirs, ours = ("x".join(map(str, size)) for size in (source.shape, shape))
        raise ValueError(
            f"config.ood: the images of {source.name} are {theirs} and the network takes {ours}: bring them to that "
            "size and number of channels first, or name other outliers"
        )
    return source


def names(config: ConfigDict) -> list[str]:
    """The scores that there will be. ValueError where config.ood.score is none of them."""
    of_levels = SCORES + PERCEPTUAL * config.ood.lpips
    found = [*of_levels, *(f"{name}@{factor:g}" for factor in config.ood.recon_factor for name in of_levels)]
    found += OF_BITS * bool(config.ood.bits)
    if config.ood.score not in found:
        raise ValueError(f"config.ood.score={config.ood.score!r} is none of the scores: {', '.join(found)}")
    return found


class Scores:
    """of(source, name): {score: (N,)} of all images of a source.

    reconstruct: a Reconstruct; bits: a FlowBits or BoundBits, or None; trained: the Trained parameters; size: of a
    batch. The batches are dealt out to the processes, of which the first one has the result, and the others {}.
    """

    def __init__(self, config, reconstruct, bits, trained, size, folder):
        self.config = config
        self.folder = folder
        self.reconstruct = reconstruct
        self.bits = bits
        self.trained = trained
        self.size = size
        self.params = parallel.replicate(trained.params)

    def of(self, source: Source, name: str) -> dict[str, np.ndarray]:
        """{score: (N,) float} of all images of a source, kept in parts below the folder under this name."""
        config = self.config
        total = len(source)
        made_by = decisive(config, self.trained, source, total, self.size)
        parts = Parts(os.path.join(self.folder, name), made_by, -(-total // self.size))
        batches = fixed_batches(source, self.size, total, parts.mine, config.data.num_workers)
        for k, batch, kept in progress(batches, f"scoring {total} {name}", len(parts.mine)):
            parts.save(k, self.score(batch, kept))
        return {key: np.concatenate(found) for key, found in parts.join().items()}

    def score(self, batch: dict[str, Any], kept: int) -> dict[str, np.ndarray]:
        """{score: (kept,)} of one batch."""
        sharded = parallel.shard(batch)
        factors = self.config.ood.recon_factor
        by_level = [self.reconstruct(self.params, sharded, level)[0] for level in range(len(factors))]
        by_level = [{name: parallel.unshard(value)[:kept] for name, value in scores.items()} for scores in by_level]
        found = {name: np.exp(np.mean([np.log(of[name] + TINY) for of in by_level], axis=0)) for name in by_level[0]}
        for factor, scores in zip(factors, by_level, strict=True):
            found |= {f"{name}@{factor:g}": value for name, value in scores.items()}
        if self.bits is not None:
            found["bits"] = self.bits.of_images(self.bits.measure(self.params, sharded, kept))
            found["complexity"] = found["bits"] - png_bits(batch["image"][:kept])
        return found

    def reconstructions(self, source: Source, numbers: np.ndarray, level: int) -> np.ndarray:
        """The images (n, H, W, C) with these numbers, noised to the level and back."""
        examples = [source[int(i)] for i in numbers]
        rows = {key: np.stack([example[key] for example in examples]) for key in ("image", "label")}
        rows["index"] = numbers.astype(np.int32)

        def reconstructed(batch: dict[str, Array]) -> Array:
            return self.reconstruct(self.params, batch, level)[1]

        return over_batches(reconstructed, rows, self.size, f"reconstructions of {source.name}")
