"""What is known of an image: y = A x, linear maps of images x (B, H, W, C) in the range of the model.

    Mask       the pixels that are seen                       A A^T = 1
    Grey       the mean over channels                         A A^T = 1 / C
    Pooling    means over square blocks of pixels             A A^T = 1 / factor^2

All have A A^T = `gram` times the identity, so that A^+ = A^T / gram is the pseudo-inverse and P = A^+ A the orthogonal
projection onto what is measured.
"""

import dataclasses
from typing import Protocol

import jax.numpy as jnp

from linnet.arrays import Array


class Measurement(Protocol):
    """y = A x."""

    @property
    def gram(self) -> float:
        """The number A A^T."""

    def __call__(self, x: Array) -> Array:
        """A x."""

    def pinv(self, y: Array) -> Array:
        """A^+ y, the image of least norm with this y."""


def adjoint(A: Measurement, y: Array) -> Array:
    """A^T y."""
    return A.gram * A.pinv(y)


def project(A: Measurement, x: Array) -> Array:
    """P x, the part of x that is measured."""
    return A.pinv(A(x))


def impose(A: Measurement, y: Array, x: Array) -> Array:
    """The image nearest to x that gives y: x + A^+ (y - A x). Seen pixels are those of y, bit by bit."""
    return x - project(A, x) + A.pinv(y)


@dataclasses.dataclass(frozen=True)
class Mask:
    """seen: (B, H, W, 1), 1 where a pixel is seen, else 0. y has the shape of x, with 0 for the unseen."""

    seen: Array
    gram = 1.0

    def __call__(self, x: Array) -> Array:
        """A x: x where it is seen, 0 elsewhere; x (B, H, W, C)."""
        return self.seen * x

    def pinv(self, y: Array) -> Array:
        """A^+ y (B, H, W, C)."""
        return self.seen * y

    def of_image(self, i: Array) -> "Mask":
        """That of image i alone."""
        return Mask(self.seen[i][None])


@dataclasses.dataclass(frozen=True)
class Grey:
    """The mean over `channels`; y is (B, H, W, 1)."""

    channels: int

    @property
    def gram(self) -> float:
        """The number of which A A^T is the multiple of 1."""
        return 1 / self.channels

    def __call__(self, x: Array) -> Array:
        """A x (B, H, W, 1): the mean of the channels of x (B, H, W, C)."""
        return x.mean(-1, keepdims=True)

    def pinv(self, y: Array) -> Array:
        """A^+ y (B, H, W, C)."""
        return jnp.repeat(y, self.channels, axis=-1)


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Means over blocks of factor x factor pixels; y is (B, H / factor, W / factor, C)."""

    factor: int

    @property
    def gram(self) -> float:
        """The number of which A A^T is the multiple of 1."""
        return 1 / self.factor**2

    def __call__(self, x: Array) -> Array:
        """A x (B, H / f, W / f, C): means over blocks of x (B, H, W, C)."""
        n, height, width, channels = x.shape
        blocks = x.reshape(n, height // self.factor, self.factor, width // self.factor, self.factor, channels)
        return blocks.mean((2, 4))

    def pinv(self, y: Array) -> Array:
        """A^+ y (B, H, W, C)."""
        return jnp.repeat(jnp.repeat(y, self.factor, axis=1), self.factor, axis=2)
