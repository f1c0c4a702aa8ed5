"""Exact networks: the eps(u, t) of data whose score is known in closed form.

For x_0 from a mixture of Gaussians N(mean_m, variance_m I) with weights w_m, the marginal of u_t is the mixture of
N(Psi mean_m, P_m) with P_m = Psi C_m Psi^T + Sigma, C_m = diag(variance_m, 0), and

    eps(u, t) = -R^T score = R^T sum_m p(m | u) P_m^-1 (u - Psi mean_m)
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Block, EpsFn, Host
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE


def data_covariance(sde: LinearSDE, variance: float) -> Host:
    """Covariance block of lifted data of variance `variance` per pixel: diag(variance, 0, ...)."""
    return np.diag([variance] + [0.0] * (sde.k - 1))[None, None]


def mixture_eps(
    sde: LinearSDE,
    means: Sequence[Block],
    variances: Sequence[float] | Host,
    weights: Sequence[float] | Host | None = None,
) -> EpsFn:
    """eps_fn(u, t) for means (M, *shape_of_x), variances (M,) and weights (M,) (equal when absent)."""
    means = [sde.lift(jnp.asarray(m)[None]) for m in means]
    log_weights = np.log(np.full(len(means), 1 / len(means)) if weights is None else np.asarray(weights))

    def eps_fn(u, t):
        Psi, Sigma = sde.Psi(t, t * 0), sde.Sigma(t)
        R = sde.R(t)
        logits, pulls = [], []
        for mean, variance, log_weight in zip(means, variances, log_weights, strict=True):
            C = jnp.asarray(data_covariance(sde, variance), u.dtype)
            P = blocks.matmul(blocks.matmul(Psi, C), blocks.transpose(Psi)) + Sigma
            gap = u - blocks.apply(Psi, jnp.broadcast_to(mean, u.shape).astype(u.dtype))
            pull = blocks.apply(blocks.inverse(P), gap)
            log_det = jnp.broadcast_to(jnp.linalg.slogdet(P)[1][..., None], gap.shape[:1] + _pixels(sde, u))
            logits.append(
                log_weight - 0.5 * ((gap * pull).reshape(len(u), -1).sum(1) + log_det.reshape(len(u), -1).sum(1))
            )
            pulls.append(pull)
        p = jax.nn.softmax(jnp.stack(logits), axis=0).reshape((len(means), -1) + (1,) * (u.ndim - 1))
        return blocks.apply(blocks.transpose(R), (p * jnp.stack(pulls)).sum(0))

    return eps_fn


def _pixels(sde, u):
    """(H, W, C) of images, (1, 1, D) of points."""
    spatial = u.shape[1:-1] or (1, 1)
    return (*spatial, u.shape[-1] // sde.k)


def gaussian_eps(sde: LinearSDE, mean: Block, variance: float) -> EpsFn:
    """eps_fn(u, t) for data N(mean, variance I), mean of shape_of_x."""
    return mixture_eps(sde, [mean], [variance])
