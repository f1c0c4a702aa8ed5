"""Interpolation between latents u_T along the sphere, where a standard normal vector of many numbers lies.

With theta the angle between a and b (Shoemake 1985; arXiv:2010.02502, section 5.3):

    slerp(a, b, s) = sin((1 - s) theta) / sin(theta) a + sin(s theta) / sin(theta) b
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, Host
from linnet.sde_lib.base import LinearSDE


def slerp(a: Array, b: Array, fraction: Any) -> Array:
    """Spherical interpolation between standard normal vectors a and b (...), fraction in [0, 1]: the same shape.

    The angle is that between all numbers of a and of b; 0 gives a and 1 gives b.
    """
    cosine = jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    weights = jnp.sin((1 - fraction) * angle), jnp.sin(fraction * angle)
    lines = (1 - fraction, fraction)
    near = jnp.sin(angle) < 1e-4
    start, end = (jnp.where(near, line, w / jnp.sin(angle)) for w, line in zip(weights, lines, strict=True))
    return start * a + end * b


def interpolate(u_T: Host, sde: LinearSDE, steps: int) -> Host:
    """Latents (2 n, ...) -> (n, steps, ...) between rows 2 i and 2 i + 1, interpolated in units of the prior."""
    std = np.repeat(sde.prior_std(), u_T.shape[-1] // sde.k).astype(u_T.dtype)
    path = jax.vmap(jax.vmap(slerp, (None, None, 0)), (0, 0, None))
    return np.asarray(path(u_T[::2] / std, u_T[1::2] / std, jnp.linspace(0, 1, steps)) * std)
