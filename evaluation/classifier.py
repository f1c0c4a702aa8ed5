"""A small convolutional classifier of 8x8 grey digits whose penultimate layer is a feature extractor.

It plays the part for scikit-learn's digits that Inception plays for natural images. Its weights ship in
assets/digits_classifier.npz, written by `python -m linnet.evaluation.train_classifier` together with the accuracy
measured on held-out digits.
"""

import os
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from linnet.evaluation.batches import map_batches
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz

ASSET = Path(__file__).resolve().parent.parent / "assets" / "digits_classifier.npz"
PREPROCESSING = "8x8 grey (RGB by ITU-R 601 luma); x / 127.5 - 1"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
METADATA_PREFIX = "metadata/"


class DigitsClassifier(nn.Module):
    """float32 images (N, 8, 8, 1) in [-1, 1] -> {"features": (N, 64), "logits": (N, 10)}."""

    width: int = 24
    dropout: float = 0.3

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
        for factor in (1, 2):
            for _ in range(2):
                x = nn.relu(nn.Conv(factor * self.width, (3, 3), precision=jax.lax.Precision.HIGHEST)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        features = nn.relu(nn.Dense(64, precision=jax.lax.Precision.HIGHEST)(x))
        logits = nn.Dense(10, precision=jax.lax.Precision.HIGHEST)(features)
        return {"features": features, "logits": logits}


def preprocess(images: jax.Array) -> jax.Array:
    """uint8 (N, 8, 8, 1|3) -> float32 (N, 8, 8, 1) in [-1, 1]."""
    images = images.astype(jnp.float32)
    grey = images if images.shape[-1] == 1 else (images * LUMA).sum(axis=-1, keepdims=True)
    return grey / 127.5 - 1.0


@jax.jit
def _network(params, images: jax.Array) -> dict[str, jax.Array]:
    outputs: Any = DigitsClassifier().apply({"params": params}, preprocess(images))
    return outputs


def activations(params, images: np.ndarray, batch_size: int = 256) -> dict[str, np.ndarray]:
    """{"features": (N, 64), "logits": (N, 10)} float32 for uint8 images (N, 8, 8, 1|3)."""
    if images.shape[1:] not in ((8, 8, 1), (8, 8, 3)):
        raise ValueError(
            f"the digits classifier takes images (N, 8, 8, 1 or 3), got {images.shape}; "
            "use the extractor 'inception' for other images"
        )
    return map_batches(_network, params, images, batch_size)


def save(path: str | os.PathLike, params, metadata: dict[str, object]) -> None:
    """Parameters under "Conv_0/kernel", ... and each item of metadata under "metadata/<name>", one .npz."""
    arrays = {f"{METADATA_PREFIX}{name}": np.asarray(value) for name, value in metadata.items()}
    arrays |= {name: np.asarray(value) for name, value in flatten_dict(params, sep="/").items()}
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(path: str | os.PathLike = ASSET) -> tuple[dict, dict[str, np.ndarray]]:
    """(params, metadata) as `save` wrote them."""
    with open_npz(path) as arrays:
        loaded = dict(arrays)
    metadata = {
        name.removeprefix(METADATA_PREFIX): loaded.pop(name)
        for name in list(loaded)
        if name.startswith(METADATA_PREFIX)
    }
    return unflatten_dict(loaded, sep="/"), metadata
