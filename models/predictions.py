"""What the output f of a network means: the eps that follows from it, and DDDM's estimate of an image.

    "eps"          eps = f;  with mixed_score  eps = f + R^-1 (0, v)      (gDDIM's form of CLD's mixed score)
    "score"        score = f, so eps = -R^T f                             (networks of score_sde for VE)
    "x_0"          eps = R^-1 (u - Psi f)
    "v"            eps = Psi f + R u, for VP                              (arXiv:2202.00512)
    "previous"     f is the mean of the step before on the chain          (see sde_lib.chain)
    "edm"          eps = R^T P^-1 u + M f(D u)                            (EDM's preconditioning, arXiv:2206.00364)
    "edm_aligned"  eps = R^T P^-1 u + M f(D' u) with another M, see below
    "velocity"     eps from the velocity half of f, see below             (CLD-SGM's networks, arXiv:2112.07068)
    "flow"         f = du/dt along the probability flow, eps = R^T (1/2 G G^T)^-1 (f - F u): on the straight
                   path f = eps - x_0 and eps = (1 - t) f + u             (arXiv:2209.03003, arXiv:2210.02747)
    "direct"       no eps: the F of DDDM's map, see `skip_and_out`        (arXiv:2405.13540)
    "class"        no eps: logits of the classes of a classifier          (see models.guidance)

"edm" is EDM's c_skip, c_out and c_in for any linear SDE: with data of variance sigma_data^2, P = Psi C Psi^T + Sigma is
the covariance of u, R^T P^-1 u the best linear eps, and M M^T = I - R^T P^-1 R the covariance of what is left. C has
rank one, so with w = R^-1 Psi (sigma_data, 0)^T: M = w w^T / (|w| sqrt(1 + |w|^2)). D scales u to unit variance.

"edm_aligned": with d = w / |w| the first component of D' u = (d, d_perp)^T R^-1 u, scaled to unit variance, holds all
that u says of x_0, and the second nothing; the first component of f is what is unknown of eps, M = w / sqrt(1 + |w|^2)
(1, 0). Without a velocity it is "edm"; with one, the network need not find x_0 as a small difference of x and v.

"velocity": with the Cholesky factor L of Sigma and e = L^-1 (u - Psi(t, 0) u_0), score_v = -f_v / L_vv, so e_v = f_v;
with mixed_score, score_v = -f_v / L_vv - v / Sigma_vv, so e_v = f_v + v L_vv / Sigma_vv. As u_0 = (x_0, 0) has one
unknown per pixel, e_v determines it, and with it the whole of eps: with M = L^-1 Psi(t, 0),
x_0 = ((L^-1 u)_v - e_v) / M_vx, e_x = (L^-1 u)_x - M_xx x_0, eps = R^T L^-T e. For the published process |M_xx / M_vx|
is between 0.6 and 1.3: errors of the network do not grow.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, Block, per_example
from linnet.sde_lib import LinearSDE, blocks

Network: TypeAlias = Callable[[Array], Array]
"""The network as a function of the state, at fixed times."""


def from_eps(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "eps", with mixed_score too."""
    if not net.mixed_score:
        return f(u)
    velocity = blocks.apply(np.diag([0.0, 1.0]).astype(u.dtype)[None, None], u)
    return f(u) + blocks.apply(blocks.inverse(net.sde.R(t)), velocity)


def from_score(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "score"."""
    return net.sde.eps(f(u), t)


def from_x_0(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "x_0"."""
    return blocks.apply(blocks.inverse(net.sde.R(t)), u - net.sde.mean(f(u), t))


def from_v(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "v"."""
    return net.sde.mean(f(u), t) + blocks.apply(net.sde.R(t), u)


def from_previous(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "previous"."""
    chain = net.sde.chain
    step = jnp.round(chain.step(t)).astype(int)
    return from_x_0(net, lambda u: chain.predicted_x_0("previous", f(u), u, step), u, t)


def from_direct(net: Any, f: Network, u: Array, t: Array) -> NoReturn:
    """ValueError: "direct" has no eps."""
    raise ValueError(
        "a network with config.model.prediction='direct' gives no eps: train it with "
        "config.training.objective=dddm and sample from it with config.sampling.method=fixed_point"
    )


def from_class(net: Any, f: Network, u: Array, t: Array) -> NoReturn:
    """ValueError: "class" has no eps."""
    raise ValueError(
        "a classifier (config.model.prediction='class') gives no eps: train it by config.training.objective=classifier"
    )


def from_edm(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "edm"."""
    skip, out, scale = preconditioning(net.sde, net.sigma_data, t)
    return blocks.apply(skip, u) + blocks.apply(out, f(blocks.apply(scale, u)))


def from_edm_aligned(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "edm_aligned"."""
    skip, out, scale = alignment(net.sde, net.sigma_data, t)
    return blocks.apply(skip, u) + blocks.apply(out, f(blocks.apply(scale, u)))


def from_velocity(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "velocity", with mixed_score too."""
    sde, L = net.sde, net.sde.L(t)
    inverse = blocks.inverse(L)
    M = blocks.matmul(inverse, sde.Psi(t, t * 0))
    x, v = jnp.split(blocks.apply(inverse, u), 2, axis=-1)
    e_v = jnp.split(f(u), 2, axis=-1)[1]
    if net.mixed_score:
        e_v = e_v + jnp.split(u, 2, axis=-1)[1] * per_example(L[..., 1, 1] / sde.Sigma(t)[..., 1, 1], u)
    e_x = x - per_example(M[..., 0, 0] / M[..., 1, 0], u) * (v - e_v)
    to_R = blocks.matmul(blocks.transpose(sde.R(t)), blocks.transpose(inverse))
    return blocks.apply(to_R, jnp.concatenate([e_x, e_v], axis=-1))


def from_flow(net: Any, f: Network, u: Array, t: Array) -> Array:
    """ "flow"."""
    sde = net.sde
    back = blocks.matmul(blocks.transpose(sde.R(t)), blocks.inverse(sde.GGt(t) / 2))
    return blocks.apply(back, f(u) - blocks.apply(sde.F(t), u))


PREDICTIONS = {
    "eps": from_eps,
    "score": from_score,
    "x_0": from_x_0,
    "v": from_v,
    "previous": from_previous,
    "direct": from_direct,
    "class": from_class,
    "edm": from_edm,
    "edm_aligned": from_edm_aligned,
    "velocity": from_velocity,
    "flow": from_flow,
}
"""prediction -> (net, f, u, t) -> eps at times t (B,), the shape of u: f(u) is the network in the basis of the state,
`net` the models.eps_net.EpsNet with the process and the numbers of the formula."""


def preconditioning(sde: LinearSDE, sigma_data: float, t: Array) -> tuple[Block, Block, Block]:
    """The blocks (R^T P^-1, M, D) of "edm" at times t; for VE they say EDM's c_skip and c_out of eps, and c_in."""
    P, w, norm2 = _gaussian(sde, sigma_data, t)
    out = blocks.matmul(w, blocks.transpose(w)) / jnp.sqrt(norm2 * (1 + norm2))
    scale = jnp.eye(sde.k, dtype=P.dtype) / jnp.sqrt(jnp.diagonal(P, axis1=-2, axis2=-1))[..., None]
    return blocks.matmul(blocks.transpose(sde.R(t)), blocks.inverse(P)), out, scale


def alignment(sde: LinearSDE, sigma_data: float, t: Array) -> tuple[Block, Block, Block]:
    """The blocks (R^T P^-1, M, D') of "edm_aligned" at times t."""
    R, (P, w, norm2) = sde.R(t), _gaussian(sde, sigma_data, t)
    first = jnp.eye(sde.k, dtype=P.dtype)[:1]
    d = blocks.transpose(w / jnp.sqrt(norm2))
    rows = jnp.concatenate([d / jnp.sqrt(1 + norm2), blocks.complement(d)], axis=-2)
    out = w / jnp.sqrt(1 + norm2) * first
    return blocks.matmul(blocks.transpose(R), blocks.inverse(P)), out, blocks.matmul(rows, blocks.inverse(R))


def _gaussian(sde, sigma_data, t):
    """P (..., k, k), w (..., k, 1) and |w|^2 (..., 1, 1) at times t: see the module's docstring."""
    column = sigma_data * sde.Psi(t, t * 0)[..., :, :1]
    P = blocks.matmul(column, blocks.transpose(column)) + sde.Sigma(t)
    w = blocks.matmul(blocks.inverse(sde.R(t)), column)
    return P, w, (w**2).sum((-1, -2), keepdims=True)


def skip_and_out(sde: LinearSDE, t: Array) -> tuple[Block, Block]:
    """(c_skip, c_out), blocks at times t, of DDDM's map f = c_skip x_t + c_out F (arXiv:2405.21059).

    (kappa, 1 - kappa) with kappa = R(0) / R(t) where Psi = 1 (VE), elsewhere (1, -1) (VP).
    """
    if sde.exploding:
        kappa = sde.R(t * 0) / sde.R(t)
        return kappa, 1 - kappa
    one = blocks.scalar(t * 0 + 1)
    return one, -one


def check_direct(sde: LinearSDE) -> None:
    """ValueError for a process that `skip_and_out` is not for."""
    scalar = np.size(sde.Sigma(sde.T)) == 1
    if not scalar or (sde.exploding and not sde.R(0.0).all()):
        raise ValueError(
            "config.model.prediction='direct' is for processes with one noise level for all pixels, and where Psi = 1 "
            f"with some noise at t = 0 (vp, subvp, ve), not for {type(sde).__name__}"
        )
