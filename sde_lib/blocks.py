"""Blocks: stacks of k x k matrices that act on the k components of every channel.

A block evaluated at times t has shape `t.shape + spatial + (k, k)`; spatial is (1, 1) for processes that treat
all pixels alike and (H, W) for those that act per frequency. k is 1 or 2, so products are written out as
multiply-adds, which XLA fuses, and roots and inverses in closed form. Every function takes NumPy arrays (host,
float64) or jax arrays (device) and returns the same kind.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Block, Host


def namespace(t: Any) -> tuple[Any, Any]:
    """(xp, t): NumPy and t in float64 for host input (numbers, sequences, NumPy), jax.numpy for jax arrays."""
    if isinstance(t, jax.Array):
        return jnp, t
    return np, np.asarray(t, np.float64)


def scalar(values: Any) -> Block:
    """Block of k = 1 and spatial (1, 1) from `values` of shape t.shape."""
    return values[..., None, None, None, None]


def matrix(rows: Sequence[Sequence[Any]]) -> Block:
    """Block of spatial (1, 1) from a k x k nested list of arrays of shape t.shape."""
    xp, _ = namespace(rows[0][0])
    flat = xp.stack(xp.broadcast_arrays(*[entry for row in rows for entry in row]), axis=-1)
    return flat.reshape(flat.shape[:-1] + (1, 1, len(rows), len(rows)))


def transpose(a: Block) -> Block:
    """a^T on the trailing axes."""
    return a.swapaxes(-1, -2)


def matmul(a: Block, b: Block) -> Block:
    """a b on the trailing axes, by broadcast multiply-add."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def inverse(a: Block) -> Block:
    """a^-1 for k = 1 or 2, by the adjugate."""
    xp, _ = namespace(a)
    if a.shape[-1] == 1:
        return 1 / a
    p, q, r, s = a[..., 0, 0], a[..., 0, 1], a[..., 1, 0], a[..., 1, 1]
    adjugate = xp.stack([xp.stack([s, -q], -1), xp.stack([-r, p], -1)], -2)
    return adjugate / (p * s - q * r)[..., None, None]


def cholesky(a: Block) -> Block:
    """Lower L with L L^T = a, for symmetric positive a and k = 1 or 2."""
    xp, _ = namespace(a)
    if a.shape[-1] == 1:
        return xp.sqrt(a)
    l00 = xp.sqrt(a[..., 0, 0])
    l10 = a[..., 1, 0] / l00
    l11 = xp.sqrt(a[..., 1, 1] - l10**2)
    return xp.stack([xp.stack([l00, xp.zeros_like(l00)], -1), xp.stack([l10, l11], -1)], -2)


def root(a: Block) -> Block:
    """The symmetric root of symmetric a >= 0 for k = 1 or 2, (a + sqrt(det) I) / sqrt(trace + 2 sqrt(det)).

    Eigenvalues that rounding made negative count as zero.
    """
    xp, _ = namespace(a)
    if a.shape[-1] == 1:
        return xp.sqrt(xp.maximum(a, 0))
    det = xp.maximum(a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0], 0) ** 0.5
    trace = xp.maximum(a[..., 0, 0] + a[..., 1, 1] + 2 * det, 0) ** 0.5
    shifted = a + det[..., None, None] * np.eye(2, dtype=a.dtype)
    return shifted / xp.where(trace == 0, 1, trace)[..., None, None]


def identity(k: int) -> Host:
    """The k x k identity as a block of spatial (1, 1), float64."""
    return np.eye(k)[None, None]


def apply(block: Block, u: Any) -> Any:
    """block u: u has shape (B, H, W, k*C) or (B, k*D), component-major along the last axis; so has the result.

    `block` is evaluated at one time, shape spatial + (k, k), or at one time per example, (B,) + spatial + (k, k).
    """
    k = block.shape[-1]
    grid = u if u.ndim > 2 else u[:, None, None, :]
    xp, _ = namespace(u)
    parts = xp.split(grid, k, axis=-1)
    rows = [sum(block[..., i, j, None] * parts[j] for j in range(k)) for i in range(k)]
    return (rows[0] if k == 1 else xp.concatenate(rows, axis=-1)).reshape(u.shape)
