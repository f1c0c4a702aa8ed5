"""A process, a sampler, and an eps function of one's own: here the exact one of 50 points on a circle of radius 2."""

import jax
import jax.numpy as jnp

from linnet.samplers import SAMPLERS
from linnet.sde_lib import SDES, blocks

angle = 2 * jnp.pi * jnp.arange(50) / 50
points = 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
sde = SDES["vp"]()
sampler = SAMPLERS["gddim"](sde, nfe=20)


def eps_fn(u, t):
    """eps of the states u (B, 2) at times t (B,): (u - Psi E[x_0 | u]) / R."""
    alpha, sigma = sde.Psi(t, 0 * t), sde.R(t)
    gap = u[:, None] - alpha[:, 0, 0] * points
    p = jax.nn.softmax(-0.5 * (gap**2).sum(-1) / sigma[:, 0, 0, 0] ** 2)
    return blocks.apply(blocks.inverse(sigma), u - blocks.apply(alpha, p @ points))


draw = jax.jit(lambda key, u_T: sampler(eps_fn, key, u_T).u)
samples = draw(jax.random.key(0), sde.prior(jax.random.key(1), (1000, 2)))
radius = jnp.linalg.norm(samples, axis=-1)
print(f"radius {radius.mean():.4f} +- {radius.std():.4f}")
