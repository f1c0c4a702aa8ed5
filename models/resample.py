"""Resampling of images by a factor of two with a separable FIR filter, in polyphase form.

With taps k of length n, normalised to sum 1 and applied along height and then width, zeros outside:

    downsample(x)[i]  = sum_j k[n-1-j] x[2 i + j - (n-1)//2]
    upsample(x)[m]    = 2 sum_j k[n-1-j] z[m + j - (n+1)//2],    z[2 i] = x[i], z[2 i + 1] = 0

The conventions (alignment, gain, zero padding) are those of StyleGAN2's `upfirdn2d` as score_sde uses it
(Karras et al. 2020, arXiv:1912.04958; Song et al. 2021, arXiv:2011.13456). Taps (1, 1) give the 2x2 mean and
the nearest-neighbour repeat. Everything is written as pad, slice, add and matrix products: depthwise and
dilated convolutions have gradients that are one to two orders of magnitude slower on CPU.
"""

import functools
import operator
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

BOX = (1, 1)
"""Taps of the 2x2 mean (downsample) and of the nearest-neighbour repeat (upsample)."""


def downsample(x: jax.Array, taps: Sequence[float] = BOX) -> jax.Array:
    """Filter and keep every second pixel: (B, H, W, C) -> (B, H/2, W/2, C); H and W even."""
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"downsample: height and width must be even, got {x.shape[1]}x{x.shape[2]}")
    return _halve(_halve(x, 1, taps), 2, taps)


def upsample(x: jax.Array, taps: Sequence[float] = BOX) -> jax.Array:
    """Insert zeros after every pixel, filter with gain 4: (B, H, W, C) -> (B, 2H, 2W, C)."""
    return _double(_double(x, 1, taps), 2, taps)


def conv_downsample(x: jax.Array, weight: jax.Array, taps: Sequence[float]) -> jax.Array:
    """FIR filter, then a 3x3 convolution of stride 2; padded once, before the filter.

    x (B, H, W, C) with H and W even, weight (3, 3, C, D) -> (B, H/2, W/2, D). Differs from
    `downsample(conv(x))` in a border of one pixel, as the published networks do.
    """
    n = len(taps)
    for axis in (1, 2):
        x = _filter(x, axis, _normalised(taps), (n + 1) // 2, n // 2)
    return lax.conv_general_dilated(x, weight, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def upsample_conv(x: jax.Array, weight: jax.Array, taps: Sequence[float]) -> jax.Array:
    """Transposed 3x3 convolution of stride 2, then the FIR filter with gain 4; padded once, in the filter.

    x (B, H, W, C), weight (3, 3, C, D) as a convolution of the upsampled image has it -> (B, 2H, 2W, D).
    Equals `conv(upsample(x))` except in a border of two pixels. The transposed convolution is one matrix
    product for all nine taps and an overlap-add, so that its gradients are matrix products as well.
    """
    batch, height, width, channels = x.shape
    features = weight.shape[-1]
    flipped = weight[::-1, ::-1].transpose(2, 0, 1, 3).reshape(channels, 9 * features)
    spread = (x.reshape(-1, channels) @ flipped).reshape(batch, height, width, 3, 3, features)
    columns = [_overlap_add([spread[:, :, :, a, b] for a in range(3)], 1) for b in range(3)]
    y = _overlap_add(columns, 2)
    p = len(taps) - 4
    for axis in (1, 2):
        y = _filter(y, axis, [2 * k for k in _normalised(taps)], (p + 1) // 2 + 1, p // 2 + 1)
    return y


def nearest_conv(x: jax.Array, weight: jax.Array) -> jax.Array:
    """3x3 "SAME" convolution of the nearest-neighbour upsampled image, without building that image.

    x (B, H, W, C), weight (3, 3, C, D) -> (B, 2H, 2W, D). Each output pixel sees only 2x2 distinct input
    pixels, so the four output phases are four 2x2 convolutions at the low resolution: 16 products, not 36.
    (One convolution to 4 D channels would do the same, but its gradient is very slow on CPU.)
    """
    rows = _phase_taps(weight, 0)
    phases = [[_phase_taps(w, 1)[s] for s in range(2)] for w in rows]

    def phase(r: int, s: int) -> jax.Array:
        return lax.conv_general_dilated(
            x, phases[r][s], (1, 1), ((1 - r, r), (1 - s, s)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    even, odd = (_interleave(phase(r, 0), phase(r, 1), 2) for r in range(2))
    return _interleave(even, odd, 1)


def _phase_taps(w: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The two taps that each output phase of a doubled axis sees of three taps: size 3 -> 2 on `axis`."""
    first, middle, last = (lax.slice_in_dim(w, j, j + 1, axis=axis) for j in range(3))
    return jnp.concatenate([first, middle + last], axis), jnp.concatenate([first + middle, last], axis)


def _sum(terms: Iterable[jax.Array]) -> jax.Array:
    """The sum of one array or more."""
    return functools.reduce(operator.add, terms)


def _normalised(taps: Sequence[float]) -> list[float]:
    total = float(sum(taps))
    return [float(k) / total for k in taps]


def _pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Zero padding on one axis; a negative amount crops."""
    amounts = [(before, after, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), amounts)


def _interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """Alternate the entries of two equal arrays along `axis`: size n and n -> 2n."""
    shape = even.shape
    return jnp.stack([even, odd], axis + 1).reshape(*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])


def _filter(x: jax.Array, axis: int, taps: Sequence[float], before: int, after: int) -> jax.Array:
    """Pad, then convolve one axis ("valid"): size m -> m + before + after - len(taps) + 1."""
    size = x.shape[axis] + before + after - len(taps) + 1
    padded = _pad(x, axis, before, after)
    return _sum(k * lax.slice_in_dim(padded, j, j + size, axis=axis) for j, k in enumerate(taps[::-1]))


def _halve(x: jax.Array, axis: int, taps: Sequence[float]) -> jax.Array:
    """`downsample` along one axis, from the even and odd phases of the padded input."""
    half = x.shape[axis] // 2
    before = (len(taps) - 1) // 2
    pairs = half + (len(taps) - 1) // 2
    padded = _pad(x, axis, before, 2 * pairs - x.shape[axis] - before)
    shape = x.shape
    split = padded.reshape(*shape[:axis], pairs, 2, *shape[axis + 1 :])
    phases = [lax.index_in_dim(split, parity, axis + 1, keepdims=False) for parity in range(2)]
    return _sum(
        k * lax.slice_in_dim(phases[j % 2], j // 2, j // 2 + half, axis=axis)
        for j, k in enumerate(_normalised(taps)[::-1])
    )


def _double(x: jax.Array, axis: int, taps: Sequence[float]) -> jax.Array:
    """`upsample` along one axis: both output phases are short filters of the input, then interleaved."""
    size = x.shape[axis]
    n = len(taps)
    reach = (n + 1) // 2
    padded = _pad(x, axis, reach, reach)
    flipped = _normalised(taps)[::-1]

    def phase(parity: int) -> jax.Array:
        starts = {j: reach + (parity + j - reach) // 2 for j in range(n) if (parity + j - reach) % 2 == 0}
        return _sum(
            2 * flipped[j] * lax.slice_in_dim(padded, start, start + size, axis=axis) for j, start in starts.items()
        )

    return _interleave(phase(0), phase(1), axis)


def _overlap_add(terms: Sequence[jax.Array], axis: int) -> jax.Array:
    """sum_a terms[a] placed at 2 i + a along `axis`, a = 0, 1, 2: size n -> 2n + 1."""
    even = _pad(terms[0], axis, 0, 1) + _pad(terms[2], axis, 1, 0)
    odd = _pad(terms[1], axis, 0, 1)
    return lax.slice_in_dim(_interleave(even, odd, axis), 0, 2 * terms[0].shape[axis] + 1, axis=axis)
