"""The variational bound of the discrete chain in bits per dimension (arXiv:2006.11239, eq. 5; arXiv:2102.09672, 3.1).

    L_0      -log2 p(x_0 | x_1): a Gaussian integrated over the bin of each grey level, half width 1/255
    L_i      KL(q(x_i' | x_i, x_0) || p(x_i' | x_i)) / ln 2, i' the step before i
    prior    KL(q(x_{N-1} | x_0) || N(0, 1)) / ln 2

each averaged over pixels; their sum bounds the bits per dimension of 8-bit images in [-1, 1]. The bins of grey levels
0 and 255 reach to infinity. All are functions of (B, ...) arrays and return (B,).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array
from linnet.randomness import fold
from linnet.sde_lib.base import normal_per_example
from linnet.sde_lib.chain import Chain, Reverse

HALF_BIN = 1 / 255
EDGE = 0.999  # images beyond +-EDGE are in the outermost bins
FLOOR = 1e-12  # of probabilities
SLOPE, CUBIC = np.sqrt(2 / np.pi), 0.044715


def mean_over_image(values: Array) -> Array:
    """Mean over all axes but the first."""
    return values.reshape(len(values), -1).mean(1)


def normal_kl(gap: Array, log_variance: Array, other_log_variance: Array) -> Array:
    """KL(N(m, v) || N(m + gap, v')), elementwise in nats."""
    ratio = log_variance - other_log_variance
    return 0.5 * (-1 - ratio + jnp.exp(ratio) + gap**2 * jnp.exp(-other_log_variance))


def log_bin_probability(x_0: Array, mean: Array, log_variance: Array) -> Array:
    """Log probability of the bin of x_0 in [-1, 1] under N(mean, exp(log_variance)), elementwise in nats.

    The published likelihoods take tanh(a(z)), a(z) = sqrt(2 / pi) (z + 0.044715 z^3), for 2 Phi(z) - 1 (error up to
    4e-4). Here the probability (tanh a - tanh b) / 2 between b and a is written sinh(a - b) / (2 cosh a cosh b), so
    that neither it nor its gradient loses digits far from the mean.
    """
    scale = jnp.exp(-0.5 * log_variance)
    upper, lower = (scale * (x_0 - mean + side) for side in (HALF_BIN, -HALF_BIN))
    a, b = (SLOPE * (z + CUBIC * z**3) for z in (upper, lower))
    width = SLOPE * 2 * HALF_BIN * scale * (1 + CUBIC * (upper**2 + upper * lower + lower**2))
    middle = width + jnp.log(-jnp.expm1(-2 * width)) - _log_cosh(a) - _log_cosh(b)
    outermost = jnp.where(x_0 < 0, jax.nn.log_sigmoid(2 * a), jax.nn.log_sigmoid(-2 * b))
    return jnp.maximum(jnp.where(jnp.abs(x_0) > EDGE, outermost, middle), np.log(FLOOR))


def _log_cosh(a):
    """log(2 cosh a)."""
    return jnp.abs(a) + jnp.log1p(jnp.exp(-2 * jnp.abs(a)))


def step_bits(chain: Chain, x_0: Array, x: Array, i: Array, step: Reverse) -> Array:
    """L_i in bits per dimension, (B,); step: the Reverse that the network makes of x at i."""
    # Both means contain c2 x: their difference is c1 (predicted x_0 - x_0), without loss of digits, and what the mean
    # has beside its x_0 (where that was clipped and the mean was not; see Chain.reverse).
    gap = chain.at(chain.posterior_mean_coef1, i, x) * (step.x_0 - x_0)
    gap = gap + (step.mean - chain.posterior_mean(step.x_0, x, i))
    true_log_variance = chain.at(chain.posterior_log_variance_clipped, i, x)
    divergence = mean_over_image(normal_kl(gap, true_log_variance, step.log_variance))
    decoder = -mean_over_image(log_bin_probability(x_0, step.mean, jnp.broadcast_to(step.log_variance, x.shape)))
    return jnp.where(i == 0, decoder, divergence) / np.log(2)


def prior_bits(chain: Chain, x_0: Array) -> Array:
    """The prior term in bits per dimension, (B,)."""
    abar = chain.alphas_cumprod[-1]
    mean = jnp.asarray(np.sqrt(abar), x_0.dtype) * x_0
    constant = 0.5 * (-np.log1p(-abar) - abar)
    return (mean_over_image(0.5 * mean**2) + constant) / np.log(2)


class Terms(NamedTuple):
    """Of one step, (B,) each: L_i in bits/dim, mean squares of predicted x_0 - x_0 and of predicted eps - eps."""

    bits: Array
    x_0_error: Array
    eps_error: Array


def terms(chain: Chain, reverse: Callable[[Array, Array], Reverse], x_0: Array, i: Array, noise: Array) -> Terms:
    """The terms at steps i (B,) with x_i made from standard normal noise; reverse(x, i) is the Reverse of a network."""
    x = chain.q_sample(x_0, i, noise)
    step = reverse(x, i)
    eps = chain.eps_from_x_0(step.x_0, x, i)
    return Terms(
        step_bits(chain, x_0, x, i, step), mean_over_image((step.x_0 - x_0) ** 2), mean_over_image((eps - noise) ** 2)
    )


def bound(chain: Chain, reverse: Callable[[Array, Array], Reverse], keys: Array, x_0: Array) -> tuple[Terms, Array]:
    """(Terms of every step, (n, B) each, prior term (B,)) for images x_0 (B, ...) in [-1, 1]; keys (B,), one per image.

    The sum of Terms.bits over the steps and the prior term bounds the bits per dimension of each image.
    """

    def one(_, i):
        noise = normal_per_example(fold(keys, i), x_0.shape)
        return None, terms(chain, reverse, x_0, jnp.full(len(x_0), i), noise)

    return jax.lax.scan(one, None, jnp.arange(chain.n))[1], prior_bits(chain, x_0)
