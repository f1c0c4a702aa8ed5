"""The key that a seed stands for, whatever its size: the one way from config.seed to random numbers of JAX."""

import jax

HALF = 2**32


def seed_key(seed: int) -> jax.Array:
    """A key of its own for every seed in [0, 2^64): jax.random.key takes the lower 32 bits, the upper are folded in.

    Below 2^32 it is jax.random.key(seed). ValueError for other seeds.
    """
    if not 0 <= seed < HALF**2:
        raise ValueError(f"config.seed={seed} must lie in 0 to 2^64 - 1")
    upper, lower = divmod(seed, HALF)
    key = jax.random.key(lower)
    return jax.random.fold_in(key, upper) if upper else key
