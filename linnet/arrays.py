"""Names of arrays in annotations, where an array lives (shapes and units stand in the docstrings), and one shape."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

Array: TypeAlias = jax.Array
"""Of JAX: states u, images x, eps, keys, step numbers on the device."""

Host: TypeAlias = np.ndarray
"""Of NumPy, float64: tables, times and coefficients that are made once."""

Block: TypeAlias = np.ndarray | jax.Array
"""k x k matrices (see sde_lib.blocks), of the kind of the times they are evaluated at."""

Times: TypeAlias = float | np.ndarray | jax.Array
"""Times on the host or on the device."""

EpsFn: TypeAlias = Callable[[Array, Array], Array]
"""eps(u, t): u (B, ...) and t (B,) to the shape of u."""


def per_example(values: Any, u: Array) -> Any:
    """values (B,), of NumPy or JAX, to broadcast with u (B, ...)."""
    return values.reshape(-1, *(1,) * (u.ndim - 1))
