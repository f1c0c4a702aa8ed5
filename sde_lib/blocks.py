"""Blocks: stacks of k x k matrices that act on the k components of every channel.

A block evaluated at times t has shape `t.shape + spatial + (k, k)`; spatial is (1, 1) for processes that treat
all pixels alike and (H, W) for those that act per frequency. k is small, so products are written out as
multiply-adds, which XLA fuses, and inverses and Cholesky factors in closed form. Every function takes NumPy arrays
(host, float64) or jax arrays (device) and returns the same kind.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Block, Host, Times


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


def constant(matrix: Host, like: Times) -> Block:
    """A k x k matrix as a block of spatial (1, 1) in the array type and dtype of `like`."""
    xp, array = namespace(like)
    return xp.asarray(matrix, array.dtype)[None, None]


def transpose(a: Block) -> Block:
    """a^T on the trailing axes."""
    return a.swapaxes(-1, -2)


def matmul(a: Block, b: Block) -> Block:
    """a b on the trailing axes, by broadcast multiply-add."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def inverse(a: Block) -> Block:
    """a^-1: by cofactors for k = 1, 2, 3, whose errors do not grow with the scales of rows; ValueError beyond."""
    xp, _ = namespace(a)
    k = a.shape[-1]
    if k == 1:
        return 1 / a
    if k == 2:
        p = a[..., 0, 0]
        q = a[..., 0, 1]
        r = a[..., 1, 0]
        s = a[..., 1, 1]
        adjugate = xp.stack([xp.stack([s, -q], -1), xp.stack([-r, p], -1)], -2)
        return adjugate / (p * s - q * r)[..., None, None]
    if k > 3:
        raise ValueError(f"blocks of {k} x {k} are not inverted: processes have at most 3 components")
    rows = [a[..., i, :] for i in range(3)]
    columns = [xp.cross(rows[1], rows[2]), xp.cross(rows[2], rows[0]), xp.cross(rows[0], rows[1])]
    return xp.stack(columns, -1) / (rows[0] * columns[0]).sum(-1)[..., None, None]


def cholesky(a: Block) -> Block:
    """Lower L with L L^T = a, for symmetric positive a."""
    xp, _ = namespace(a)
    k = a.shape[-1]
    zero = a[..., 0, 0] * 0
    L = [[zero] * k for _ in range(k)]
    for j in range(k):
        L[j][j] = xp.sqrt(a[..., j, j] - sum(L[j][m] ** 2 for m in range(j)))
        for i in range(j + 1, k):
            L[i][j] = (a[..., i, j] - sum(L[i][m] * L[j][m] for m in range(j))) / L[j][j]
    return xp.stack([xp.stack(row, -1) for row in L], -2)


def root(a: Block) -> Block:
    """The symmetric root of symmetric a >= 0; eigenvalues that rounding made negative count as zero."""
    xp, _ = namespace(a)
    if a.shape[-1] == 1:
        return xp.sqrt(xp.maximum(a, 0))
    values, vectors = xp.linalg.eigh(a)
    return matmul(vectors * xp.sqrt(xp.maximum(values, 0))[..., None, :], transpose(vectors))


def complement(d: Block) -> Block:
    """Rows (..., k - 1, k) that make an orthogonal matrix of determinant 1 with the unit row d (..., 1, k) above them.

    The rotation in the plane of the first axis and d; for k = 3 it has no limit where d is minus the first axis.
    """
    xp, _ = namespace(d)
    k = d.shape[-1]
    if k < 3:
        return xp.stack([-d[..., 1], d[..., 0]], -1) if k == 2 else d[..., :0, :]
    first, rest = d[..., :, :1], d[..., :, 1:]
    turned = xp.eye(k - 1, dtype=d.dtype) - transpose(rest) * rest / (1 + first)
    return xp.concatenate([-transpose(rest), turned], -1)


def identity(k: int) -> Host:
    """The k x k identity as a block of spatial (1, 1), float64."""
    return np.eye(k)[None, None]


def apply(block: Block, u: Any) -> Any:
    """block u: u has shape (B, H, W, k*C) or (B, k*D), component-major along the last axis; so has the result.

    `block` is evaluated at one time, shape spatial + (k, k), or at one time per example, (B,) + spatial + (k, k). It
    may be rectangular: a column (k, 1) makes k components of one, a row (1, k) one of k.
    """
    rows, columns = block.shape[-2:]
    grid = u if u.ndim > 2 else u[:, None, None, :]
    xp, _ = namespace(u)
    parts = xp.split(grid, columns, axis=-1)
    made = [sum(block[..., i, j, None] * parts[j] for j in range(columns)) for i in range(rows)]
    joined = made[0] if rows == 1 else xp.concatenate(made, axis=-1)
    return joined.reshape(*u.shape[:-1], u.shape[-1] // columns * rows)
