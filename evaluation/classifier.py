"""Small convolutional classifiers of grey digits whose penultimate layer is a feature extractor.

They play the part for scikit-learn's 8x8 digits and for MNIST that Inception plays for natural images. The weights ship
in assets/, written by `python -m linnet.evaluation.train_classifier` together with the accuracy measured on images that
the classifier has not seen.
"""

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from linnet.evaluation.batches import map_batches
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz

ASSETS = Path(__file__).resolve().parent.parent / "assets"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CLASSES = tuple("0123456789")
FEATURES = 64
METADATA_PREFIX = "metadata/"


class Shipped(NamedTuple):
    """A classifier of images size x size, with two convolutions of each width between poolings."""

    name: str
    size: int
    widths: tuple[int, ...]

    @property
    def asset(self) -> Path:
        """The file of its weights."""
        return ASSETS / f"{self.name}_classifier.npz"

    @property
    def preprocessing(self) -> str:
        """What becomes of uint8 images, in words."""
        return f"{self.size}x{self.size} grey (RGB by ITU-R 601 luma); x / 127.5 - 1"


DIGITS = Shipped("digits", 8, (24, 48))
MNIST = Shipped("mnist", 28, (16, 32, 48))


class Classifier(nn.Module):
    """float32 images (N, S, S, 1) in [-1, 1] -> {"features": (N, 64), "logits": (N, 10)}."""

    widths: tuple[int, ...]
    dropout: float = 0.3

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
        for width in self.widths:
            for _ in range(2):
                x = nn.relu(nn.Conv(width, (3, 3), precision=jax.lax.Precision.HIGHEST)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        features = nn.relu(nn.Dense(FEATURES, precision=jax.lax.Precision.HIGHEST)(x))
        logits = nn.Dense(len(CLASSES), precision=jax.lax.Precision.HIGHEST)(features)
        return {"features": features, "logits": logits}


def preprocess(images: jax.Array) -> jax.Array:
    """uint8 (N, S, S, 1|3) -> float32 (N, S, S, 1) in [-1, 1]."""
    images = images.astype(jnp.float32)
    grey = images if images.shape[-1] == 1 else (images * LUMA).sum(axis=-1, keepdims=True)
    return grey / 127.5 - 1.0


@functools.partial(jax.jit, static_argnums=0)
def _network(widths: tuple[int, ...], params, images: jax.Array) -> dict[str, jax.Array]:
    outputs: Any = Classifier(widths).apply({"params": params}, preprocess(images))
    return outputs


def activations(shipped: Shipped, params: Any, images: np.ndarray, batch_size: int = 256) -> dict[str, np.ndarray]:
    """{"features": (N, 64), "logits": (N, 10)} float32 for uint8 images (N, S, S, 1|3) of the classifier's size S."""
    size = shipped.size
    if images.shape[1:] not in ((size, size, 1), (size, size, 3)):
        raise ValueError(
            f"the {shipped.name} classifier takes images (N, {size}, {size}, 1 or 3), got {images.shape}; "
            "use the extractor 'inception' for other images"
        )
    return map_batches(functools.partial(_network, shipped.widths), params, images, batch_size)


def save(path: str | os.PathLike, params: Any, metadata: dict[str, object]) -> None:
    """Parameters under "Conv_0/kernel", ... and each item of metadata under "metadata/<name>", one .npz."""
    arrays = {f"{METADATA_PREFIX}{name}": np.asarray(value) for name, value in metadata.items()}
    arrays |= {name: np.asarray(value) for name, value in flatten_dict(params, sep="/").items()}
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    """(params, metadata) as `save` wrote them."""
    with open_npz(path) as arrays:
        loaded = dict(arrays)
    metadata = {
        name.removeprefix(METADATA_PREFIX): loaded.pop(name)
        for name in list(loaded)
        if name.startswith(METADATA_PREFIX)
    }
    return unflatten_dict(loaded, sep="/"), metadata
