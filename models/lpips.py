"""LPIPS, the learned perceptual distance (Zhang et al. 2018, arXiv:1801.03924), version 0.1 of the lpips package.

With f_l the l-th tapped activation of an ImageNet classifier, H_l x W_l pixels of C_l channels, divided at every pixel
by its Euclidean norm over channels + 1e-10, and w_l >= 0 the published linear heads,

    LPIPS(a, b) = sum_l 1/(H_l W_l) sum_{pixels, c} w_lc (f_l(a) - f_l(b))_c^2,

where a and b enter the classifier as (x - SHIFT) / SCALE. Taps: relu1_2, 2_2, 3_3, 4_3 and 5_3 of VGG-16 ("vgg"), or
relu1 to relu5 of AlexNet ("alex"). Widths follow from the parameters (`lpips_weights.load_params`).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry

SHIFT = (-0.030, -0.088, -0.188)  # ImageNet's mean and standard deviation per colour, for images in [-1, 1]
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10
UPSCALED_SIZE, UPSCALED_BELOW = 224, 256


class Stage(NamedTuple):
    """Max-pooling (window `pool`, stride 2, no padding; none where 0), then convolutions, each followed by a ReLU."""

    convolutions: int
    pool: int = 2
    kernel: int = 3
    stride: int = 1
    padding: int = 1


NETS: dict[str, tuple[Stage, ...]] = {
    "vgg": (Stage(2, pool=0), Stage(2), Stage(3), Stage(3), Stage(3)),
    "alex": (
        Stage(1, pool=0, kernel=11, stride=4, padding=2),
        Stage(1, pool=3, kernel=5, padding=2),
        Stage(1, pool=3),
        Stage(1, pool=0),
        Stage(1, pool=0),
    ),
}


def stages(net: str) -> tuple[Stage, ...]:
    """The layers of `net`; their outputs are the taps. ValueError for an unknown name."""
    return registry.choose(NETS, net, "LPIPS: net")


def lpips(params: dict, a: jax.Array, b: jax.Array, net: str = "vgg") -> jax.Array:
    """Distances (B,) float32 of images a and b, each (B, H, W, 3 or 1) in [-1, 1]; grey is repeated to RGB.

    `params`: {"stages": [[{"kernel" HWIO, "bias"}, ...], ...], "heads": [(C_l,), ...]} float32. Hand them to a jitted
    function as an argument: closed over, they become constants of the program. The gradient is 0 where a == b, and an
    all-zero feature vector passes none back. Convolutions run at JAX's default matmul precision.
    ValueError for unequal shapes, other channel counts, and images that the network pools away.
    """
    if a.shape != b.shape or a.ndim != 4 or a.shape[-1] not in (1, 3):
        raise ValueError(f"LPIPS compares images of one shape (B, H, W, 1 or 3), got {a.shape} and {b.shape}")
    return distance(params, *(features(params, x, net) for x in (a, b)))


def features(params: dict, x: jax.Array, net: str = "vgg") -> list[jax.Array]:
    """What `distance` compares: the activations f_l of images (B, H, W, 3 or 1), divided by their norms."""
    return [_unit(f) for f in taps(params["stages"], x, net)]


def distance(params: dict, a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    """LPIPS (B,) float32 of images with these features."""
    total = jnp.zeros(len(a[0]), jnp.float32)
    for head, f_a, f_b in zip(params["heads"], a, b, strict=True):
        total += jnp.mean(jnp.square(f_a - f_b) @ head, axis=(1, 2))
    return total


def upscaled(x: jax.Array) -> jax.Array:
    """Images (B, H, W, C) narrower than 256 at (B, 224, 224, C): bilinear, half-pixel centres, no antialiasing.

    Others unchanged. As the published code of consistency models (Song et al. 2023, arXiv:2303.01469) does for LPIPS.
    """
    if x.shape[2] >= UPSCALED_BELOW:
        return x
    shape = (x.shape[0], UPSCALED_SIZE, UPSCALED_SIZE, x.shape[3])
    return jax.image.resize(x, shape, "bilinear", antialias=False)


def taps(weights: list, x: jax.Array, net: str) -> list[jax.Array]:
    """The activations f_l, (B, H_l, W_l, C_l), not yet normalised; weights: params["stages"]."""
    image_shape = x.shape
    x = (x.astype(jnp.float32) - jnp.array(SHIFT)) / jnp.array(SCALE)
    activations = []
    for stage, layers in zip(stages(net), weights, strict=True):
        if min(x.shape[1:3]) < max(stage.pool, 1):
            raise ValueError(
                f"LPIPS: images of shape {image_shape} are too small for {net}; pass them through upscaled()"
            )
        if stage.pool:
            x = nn.max_pool(x, (stage.pool, stage.pool), (2, 2), "VALID")
        for layer in layers:
            x = nn.relu(_convolution(x, layer, stage))
        activations.append(x)
    return activations


def _convolution(x: jax.Array, layer: dict, stage: Stage) -> jax.Array:
    strides, padding = (stage.stride,) * 2, ((stage.padding,) * 2,) * 2
    y = jax.lax.conv_general_dilated(x, layer["kernel"], strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + layer["bias"]


def _unit(f: jax.Array) -> jax.Array:
    """f / (|f| + EPSILON) over channels; where |f| is 0 in float32 the value and the gradient are 0, not 0 / 0."""
    square = jnp.sum(jnp.square(f), axis=-1, keepdims=True)
    nonzero = square > 0
    return f * jnp.where(nonzero, 1 / (jnp.sqrt(jnp.where(nonzero, square, 1)) + EPSILON), 0)
