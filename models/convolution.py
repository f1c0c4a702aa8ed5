"""Convolution y = x * w whose gradient in w is, on the CPU, a sum over parts of the batch.

The tangent y' = x' * w + x * w' is linear in w', and parts of y' see the same w':

    x * w' = (x_1 * w', ..., x_n * w'),        whose transpose takes (g_1, ..., g_n) to the sum of the transposes

so parts laid together in the tangent are a sum of small gradients on the way back. XLA:CPU takes gradients of parts of
about POSITIONS outputs as fast as that of a whole batch or faster (docs/results/cpu.md), inside a loop only if the
convolution has the plain layout, in which images stand in the place of channels. Other platforms take it whole; which
one it is shows when a program is lowered, so that one compiled ahead for a TPU has no parts.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

POSITIONS = 2048
"""Outputs per channel (images x pixels) that a part should have."""

AXES = "DHW"

Padding = tuple[tuple[int, int], ...]


def convolve(x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]]) -> jax.Array:
    """x (B, spatial..., C), kernel (k..., C, D), of one dtype -> (B, spatial'..., D); one to three spatial axes.

    strides and padding (before, after) are those of each spatial axis.
    """
    return _convolve(x, kernel, tuple(strides), tuple(padding))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding) -> jax.Array:
    axes = AXES[-len(strides) :]
    layout = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


@functools.partial(_convolve.defjvp, symbolic_zeros=True)
def _with_tangent(strides, padding, primals, tangents):
    x, kernel = primals
    dx, dkernel = tangents
    y = _convolve(x, kernel, strides, padding)
    terms = []
    if not isinstance(dx, SymbolicZero):
        terms.append(_convolve(dx, kernel, strides, padding))
    if not isinstance(dkernel, SymbolicZero):
        whole = functools.partial(_convolve, strides=strides, padding=padding)
        parts = functools.partial(_in_parts, strides=strides, padding=padding, shape=y.shape)
        terms.append(lax.platform_dependent(x, dkernel, cpu=parts, default=whole))
    return y, sum(terms[1:], terms[0])


def part_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """(images, rows) of a part of outputs of this shape (B, rows, ..., D); they divide B and rows."""
    batch, rows, *others = shape[:-1]
    row = math.prod(others)
    return _divisor(batch, POSITIONS / (rows * row)), _divisor(rows, POSITIONS / row)


def _divisor(n: int, ideal: float) -> int:
    """The divisor of n whose ratio to `ideal` is nearest to one."""
    return min((k for k in range(1, n + 1) if n % k == 0), key=lambda k: abs(math.log(k / ideal)))


def _in_parts(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding, shape: tuple[int, ...]
) -> jax.Array:
    """`_convolve` to `shape`, a part of the outputs after the other; what is summed over parts is float32."""
    images, rows = part_of(shape)
    axes = AXES[-len(strides) :]
    layout = (f"C{axes}N", f"I{axes}O", f"{axes}NC")
    if rows < shape[1]:
        x = _slabs(x, shape[1] // rows, (rows - 1) * strides[0] + kernel.shape[0], rows * strides[0], padding[0])
        padding = ((0, 0), *padding[1:])
    parts = jnp.moveaxis(x.reshape(-1, images, *x.shape[1:]), (1, -1), (-1, 1))
    turned = jnp.moveaxis(kernel, -2, 0).astype(jnp.float32)

    def one(part):
        return lax.conv_general_dilated(part, turned.astype(part.dtype), strides, padding, dimension_numbers=layout)

    return jnp.moveaxis(lax.map(one, parts), -2, 1).reshape(shape)


def _slabs(x: jax.Array, number: int, height: int, apart: int, padding: tuple[int, int]) -> jax.Array:
    """x (B, H, ..., C) -> (B * number, height, ..., C): so many slabs of each padded image, which may overlap."""
    x = jnp.pad(x, [padding if axis == 1 else (0, 0) for axis in range(x.ndim)])
    slabs = [lax.slice_in_dim(x, start, start + height, axis=1) for start in range(0, number * apart, apart)]
    return jnp.stack(slabs, 1).reshape(-1, height, *x.shape[2:])
