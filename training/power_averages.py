"""Power-function averages of parameters, and those of any width after training (EDM2, arXiv:2312.02696).

    average <- average + (1 - (1 - 1/t)^(g + 1)) (parameters - average)   after step t = 1, 2, ...      (section 3.1)
    which weighs the parameters after step i by w_i(t, g) = (i/t)^(g + 1) - ((i - 1)/t)^(g + 1), about tau^g
    std = (g + 1)^(1/2) (g + 2)^-1 (g + 3)^(-1/2)      the width: standard deviation of i/t under w           (1)

An average is the inner product of its weights with the parameters, so that a combination of averages that were kept on
the way is the average of another width as far as its weights are the same combination of theirs: least squares
(section 3.2 and appendix C). Here they are those of the discrete weights, not of the power functions that they follow:
weights that the kept ones span are met exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 8192
"""Steps whose weights are looked at together."""

DIGITS = 1e-7
"""What is smaller than this share of the largest direction is below the digits of averages in float32."""


def exponent(std: float) -> float:
    """g of (1): the largest root of g^3 + 7 g^2 + (16 - std^-2) g + 12 - std^-2."""
    return float(np.roots([1, 7, 16 - std**-2, 12 - std**-2]).real.max())


def share(std: float, step: jax.Array) -> jax.Array:
    """What the parameters after update number `step` (from 0) count in the average of width `std`, float32."""
    return -jnp.expm1((exponent(std) + 1) * jnp.log1p(-1 / (step + 1)))


def profile(std: float, time: int, steps: np.ndarray) -> np.ndarray:
    """w_i(time, g) at the `steps` i (n,), from 1; 0 behind `time`. float64."""
    power = exponent(std) + 1
    with np.errstate(divide="ignore"):  # of the first step the logarithm is -infinity and the share 1
        shares = -np.expm1(power * np.log1p(-1 / steps))
    return np.where(steps <= time, np.minimum(steps / time, 1) ** power * shares, 0.0)


def combination(kept: list[tuple[float, int]], std: float, time: int) -> tuple[np.ndarray, float]:
    """(weights (n,), residual) of the averages of `kept` (width, step) whose sum is nearest that of `std` at `time`.

    residual: the norm of the difference of the weights of steps, as a share of that of those wanted. float64.
    """
    wanted = [*kept, (std, time)]
    triangle: Any = np.zeros((0, len(wanted)))
    for first in range(1, time + 1, BLOCK):
        steps = np.arange(first, min(first + BLOCK, time + 1), dtype=np.float64)
        rows = np.stack([profile(*one, steps) for one in wanted], axis=1)
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
    basis = triangle[:, :-1]
    target = triangle[:, -1]
    weights = np.linalg.lstsq(basis, target, rcond=DIGITS)[0]
    return weights, float(np.linalg.norm(basis @ weights - target) / np.linalg.norm(target))
