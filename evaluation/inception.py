"""The Inception v3 of the FID paper (Heusel et al. 2017), in Flax, for the published PyTorch weights.

It differs from a plain Inception v3 (Szegedy et al. 2015) as the 2015-12-05 TensorFlow graph does: average
pools leave padding out of the mean, the second block of the last stage (Mixed_7c) pools by maximum, and
there are 1008 classes. Preprocessing follows torch-fidelity, hence TensorFlow 1: bilinear to 299 x 299 with
source coordinate i * in / out (no half-pixel offset), then (x - 128) / 128.

Batch normalisation is folded into the convolutions when weights are loaded (`inception_weights.fold`), so a
module here has a kernel and a bias. Module names are the published ones.
"""

import os
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from linnet import registry
from linnet.evaluation.batches import map_batches
from linnet.evaluation.inception_weights import FILE, find_weights, fold, read_state_dict

SIZE = 299
TAPS = ("64", "192", "768", "2048", "logits_unbiased")
PREPROCESSING = "grey repeated to RGB; TF1 bilinear to 299x299; (x - 128) / 128"


def _conv(x, name, features, kernel=(1, 1), strides=1, padding="SAME"):
    """Convolution in full float32 (no TF32), bias, ReLU."""
    layer = nn.Conv(features, kernel, strides, padding, precision=jax.lax.Precision.HIGHEST, name=name)
    return nn.relu(layer(x))


def _branch(x, *layers):
    """Convolutions one after the other; each is the argument list of `_conv` after x."""
    for layer in layers:
        x = _conv(x, *layer)
    return x


def _mean_pool(x):
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _halving_pool(x):
    return nn.max_pool(x, (3, 3), (2, 2), "VALID")


class MixedA(nn.Module):
    """35 x 35 stage: 1x1, 5x5, double 3x3 and pool branches."""

    pool_features: int

    @nn.compact
    def __call__(self, x):
        return jnp.concatenate(
            [
                _conv(x, "branch1x1", 64),
                _branch(x, ("branch5x5_1", 48), ("branch5x5_2", 64, (5, 5))),
                _branch(x, ("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, (3, 3)), ("branch3x3dbl_3", 96, (3, 3))),
                _conv(_mean_pool(x), "branch_pool", self.pool_features),
            ],
            axis=-1,
        )


class MixedB(nn.Module):
    """Reduction 35 -> 17."""

    @nn.compact
    def __call__(self, x):
        double = _branch(x, ("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, (3, 3)))
        return jnp.concatenate(
            [
                _conv(x, "branch3x3", 384, (3, 3), 2, "VALID"),
                _conv(double, "branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
                _halving_pool(x),
            ],
            axis=-1,
        )


class MixedC(nn.Module):
    """17 x 17 stage: 7x7 convolutions as 1x7 and 7x1."""

    width: int

    @nn.compact
    def __call__(self, x):
        w = self.width
        row = (1, 7)
        column = (7, 1)
        return jnp.concatenate(
            [
                _conv(x, "branch1x1", 192),
                _branch(x, ("branch7x7_1", w), ("branch7x7_2", w, row), ("branch7x7_3", 192, column)),
                _branch(
                    x,
                    ("branch7x7dbl_1", w),
                    ("branch7x7dbl_2", w, column),
                    ("branch7x7dbl_3", w, row),
                    ("branch7x7dbl_4", w, column),
                    ("branch7x7dbl_5", 192, row),
                ),
                _conv(_mean_pool(x), "branch_pool", 192),
            ],
            axis=-1,
        )


class MixedD(nn.Module):
    """Reduction 17 -> 8."""

    @nn.compact
    def __call__(self, x):
        seven = _branch(x, ("branch7x7x3_1", 192), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1)))
        return jnp.concatenate(
            [
                _conv(_conv(x, "branch3x3_1", 192), "branch3x3_2", 320, (3, 3), 2, "VALID"),
                _conv(seven, "branch7x7x3_4", 192, (3, 3), 2, "VALID"),
                _halving_pool(x),
            ],
            axis=-1,
        )


class MixedE(nn.Module):
    """8 x 8 stage: 3x3 convolutions fan out into 1x3 and 3x1."""

    max_pool: bool

    @nn.compact
    def __call__(self, x):
        single = _conv(x, "branch3x3_1", 384)
        double = _branch(x, ("branch3x3dbl_1", 448), ("branch3x3dbl_2", 384, (3, 3)))
        pooled = nn.max_pool(x, (3, 3), (1, 1), "SAME") if self.max_pool else _mean_pool(x)
        return jnp.concatenate(
            [
                _conv(x, "branch1x1", 320),
                _conv(single, "branch3x3_2a", 384, (1, 3)),
                _conv(single, "branch3x3_2b", 384, (3, 1)),
                _conv(double, "branch3x3dbl_3a", 384, (1, 3)),
                _conv(double, "branch3x3dbl_3b", 384, (3, 1)),
                _conv(pooled, "branch_pool", 192),
            ],
            axis=-1,
        )


class InceptionV3(nn.Module):
    """Preprocessed images (N, 299, 299, 3) -> {tap: (N, D)} for every name in TAPS."""

    @nn.compact
    def __call__(self, x):
        taps = {}
        x = _conv(x, "Conv2d_1a_3x3", 32, (3, 3), 2, "VALID")
        x = _conv(x, "Conv2d_2a_3x3", 32, (3, 3), 1, "VALID")
        x = _conv(x, "Conv2d_2b_3x3", 64, (3, 3))
        x = _halving_pool(x)
        taps["64"] = x.mean(axis=(1, 2))
        x = _conv(x, "Conv2d_3b_1x1", 80)
        x = _conv(x, "Conv2d_4a_3x3", 192, (3, 3), 1, "VALID")
        x = _halving_pool(x)
        taps["192"] = x.mean(axis=(1, 2))
        for name, pool_features in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = MixedA(pool_features, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = MixedC(width, name=name)(x)
        taps["768"] = x.mean(axis=(1, 2))
        x = MixedD(name="Mixed_7a")(x)
        x = MixedE(max_pool=False, name="Mixed_7b")(x)
        x = MixedE(max_pool=True, name="Mixed_7c")(x)
        taps["2048"] = x.mean(axis=(1, 2))
        fc = nn.Dense(1008, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="fc")
        taps["logits_unbiased"] = fc(taps["2048"])
        return taps


def parameters(state: dict[str, np.ndarray]) -> dict:
    """Published state dict -> parameters of InceptionV3. Raises ValueError naming the first wrong tensor."""
    params = fold(state)
    image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), np.float32)
    want = _shapes(jax.eval_shape(InceptionV3().init, jax.random.key(0), image)["params"])
    have = _shapes(params)
    wrong = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if wrong:
        raise ValueError(
            f"{len(wrong)} Inception tensors do not fit, first {wrong[0]}: {have.get(wrong[0])} where "
            f"{want.get(wrong[0])} is expected; use {FILE.name} (torchvision's Inception is another network)"
        )
    return params


def _shapes(params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf.shape for path, leaf in leaves}


def load_params(path: str | os.PathLike | None = None) -> dict:
    """Parameters from a weights file (.pth, .pt, .npz), by default the one `find_weights` finds."""
    return parameters(read_state_dict(find_weights(path)))


def resize(images: jax.Array) -> jax.Array:
    """TensorFlow 1 bilinear, align_corners=False: (N, H, W, C) float32 -> (N, 299, 299, C) float32."""
    for axis in (2, 1):
        size = images.shape[axis]
        source = np.arange(SIZE, dtype=np.float32) * np.float32(size / SIZE)
        lower = source.astype(np.int32)
        upper = np.minimum(lower + 1, size - 1)
        weight = np.expand_dims(source - lower, [i for i in range(4) if i != axis])
        below, above = jnp.take(images, lower, axis), jnp.take(images, upper, axis)
        images = below + (above - below) * weight
    return images


@partial(jax.jit, static_argnums=0)
def _network(taps: tuple[str, ...], params, images: jax.Array) -> dict[str, jax.Array]:
    """uint8 (N, H, W, 1|3) -> the named taps; what they do not need is not computed."""
    x = resize(jnp.broadcast_to(images, images.shape[:3] + (3,)).astype(jnp.float32))
    outputs: Any = InceptionV3().apply({"params": params}, (x - 128.0) / 128.0)
    return {name: outputs[name] for name in taps}


def activations(
    params: Any, images: np.ndarray, taps: tuple[str, ...] = ("2048", "logits_unbiased"), batch_size: int = 64
) -> dict[str, np.ndarray]:
    """{tap: (N, D) float32} for uint8 images (N, H, W, 1|3), each tap one of TAPS."""
    for tap in taps:
        registry.check(TAPS, tap, "Inception's tap")
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"Inception takes images (N, H, W, 1 or 3), got {images.shape}; drop alpha first")
    return map_batches(partial(_network, tuple(taps)), params, images, batch_size)


def features(params: Any, images: np.ndarray, tap: str = "2048", batch_size: int = 64) -> np.ndarray:
    """(N, 2048) float32 features of uint8 images (N, H, W, 1|3); `tap` names another of TAPS."""
    return activations(params, images, (tap,), batch_size)[tap]
