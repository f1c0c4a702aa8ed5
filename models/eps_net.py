"""The border between a Flax network and the eps(u, t) that objectives and samplers know.

    network output f = module(to_image(u), label(t))          label: LinearSDE.label, chain_label; t with "velocity"
    prediction "eps"     eps = f
    prediction "score"   score = f, so eps = -R^T f                         (networks of score_sde for VE)
    prediction "x_0"     eps = R^-1 (u - Psi f)
    prediction "v"       eps = Psi f + R u, for VP                          (arXiv:2202.00512)
    prediction "previous"  f is the mean of the step before on the discrete chain (see sde_lib.chain)
    prediction "edm"     eps = R^T P^-1 u + M f,  f = module(D u, label)    (EDM's preconditioning, arXiv:2206.00364)
    prediction "edm_aligned"   the same with f = module(D' u, label) and another M and D, see below
    prediction "velocity"   eps from the velocity half of f, see below          (CLD-SGM's networks, arXiv:2112.07068)
    prediction "direct"  no eps: the network is the F of DDDM's map to x_0, see `direct`    (arXiv:2405.13540)
    mixed_score          eps = f + R^-1 (0, v)                              (gDDIM's form of CLD's mixed score)

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

A network may return twice the channels of u: then f is the first half, and the second is about variances.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from linnet.models.guidance import BoundDirect, BoundEps
from linnet.sde_lib import LinearSDE, blocks
from linnet.sde_lib.base import normal_per_example
from linnet.sde_lib.chain import chain_of, split_output


@dataclasses.dataclass(frozen=True)
class EpsNet:
    """A module and a process joined. chain: 0 for labels of continuous time, else the number of states N.

    label_scale: factor of the labels. variance: of the chain's reverse steps, one of sde_lib.chain.VARIANCES.
    context_noise: see `noised`.
    ValueError for an unknown prediction, or one that the process does not allow.
    """

    module: Any
    sde: LinearSDE
    prediction: str = "eps"
    mixed_score: bool = False
    sigma_data: float = 0.5
    chain: int = 0
    label_scale: float = 1.0
    variance: str = "fixed_large"
    context_noise: float = 0.0

    def __post_init__(self):
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"config.model.prediction {self.prediction!r} is unknown; use {', '.join(PREDICTIONS)}")
        if self.mixed_score and (self.sde.k == 1 or self.prediction not in ("eps", "velocity")):
            raise ValueError(
                "config.model.mixed_score is for a process with a velocity (config.sde.name=cld) and "
                "config.model.prediction=eps or velocity"
            )
        if self.sde.k == 1 and self.prediction == "velocity":
            raise ValueError("config.model.prediction='velocity' is for a process with one: config.sde.name=cld")
        if self.sde.k > 1 and self.prediction in ("x_0", "v", "previous", "direct"):
            raise ValueError(f"config.model.prediction {self.prediction!r} is for processes without a velocity")
        if self.prediction == "direct":
            self._check_direct()

    def _check_direct(self):
        module = self.module
        if not (getattr(module, "concat", False) or getattr(module, "cross_attention", False)):
            raise ValueError(
                "config.model.prediction='direct' needs a network that sees the earlier estimate: "
                "config.model.concat=True (unet, mlp) or config.model.cross_attention=True (unet)"
            )
        if getattr(module, "learn_sigma", False):
            raise ValueError("config.model.prediction='direct' has no variance: set config.model.learn_sigma=False")
        if not 0 <= self.context_noise <= 1:
            raise ValueError(f"config.model.context_noise={self.context_noise} must lie between 0 and 1")

    def __call__(self, params, u, t, keys=None, condition=None):
        """eps, the shape of u, at times t (B,); keys and condition as in `output`."""
        return self.to_eps(lambda u: split_output(self.output(params, u, t, keys, condition), u)[0], u, t)

    def output(self, params, u, t, keys=None, condition=None):
        """What the network makes of u at times t (B,), in the basis of the state: once or twice the channels of u.

        keys (B,): one per example, for dropout; None: no dropout. condition: further keyword arguments of the network,
        each (B, ...).
        """
        train = False if keys is None else keys
        f = self.module.apply({"params": params}, self.sde.to_image(u), self.label(t), train=train, **(condition or {}))
        return self.sde.from_image(f)

    def label(self, t):
        """What the network is told at times t (B,), the same shape."""
        if self.prediction == "velocity":
            return t
        if self.prediction == "direct":
            first, second = self.sde.chain_time(np.arange(2.0), self.chain)
            return self.label_scale * jnp.round((t - first) / (second - first))
        return self.label_scale * (self.sde.chain_label(t, self.chain) if self.chain else self.sde.label(t))

    @property
    def steps(self):
        """Number of states of the chain."""
        return self.chain if self.sde.betas is None else len(self.sde.betas)

    def noised(self, x_hat, fraction, keys):
        """What a DDDM network sees of the estimates x_hat (B, ...): sqrt(1 - s^2) x_hat + s z, z ~ N(0, I).

        s = context_noise * fraction, fraction (B,) in [0, 1]; keys (B,): of z. The paper's method has s = 0.
        """
        if not self.context_noise:
            return x_hat
        s = (self.context_noise * fraction).reshape(-1, *(1,) * (x_hat.ndim - 1))
        return jnp.sqrt(1 - s**2) * x_hat + s * normal_per_example(keys, x_hat.shape)

    def direct(self, F, x_t, t):
        """DDDM's f(x_hat, x_t, t), the shape of x_t: x_t - F for VP, kappa x_t + (1 - kappa) F for VE; t (B,).

        F: output of the network at (x_t, t) with x_hat, or what is `noised` of it, as its `context`.
        """
        skip, out = self.sde.direct(t)
        return blocks.apply(skip, x_t) + blocks.apply(out, F)

    def to_eps(self, f, u, t):
        """eps from f, the network (first half of its output) as a function of u at the fixed times t (B,)."""
        return PREDICTIONS[self.prediction](self, f, u, t)

    def _eps(self, f, u, t):
        if not self.mixed_score:
            return f(u)
        velocity = blocks.apply(np.diag([0.0, 1.0]).astype(u.dtype)[None, None], u)
        return f(u) + blocks.apply(blocks.inverse(self.sde.R(t)), velocity)

    def _score(self, f, u, t):
        return -blocks.apply(blocks.transpose(self.sde.R(t)), f(u))

    def _x_0(self, f, u, t):
        return blocks.apply(blocks.inverse(self.sde.R(t)), u - self.sde.mean(f(u), t))

    def _v(self, f, u, t):
        return self.sde.mean(f(u), t) + blocks.apply(self.sde.R(t), u)

    def _previous(self, f, u, t):
        step = jnp.round(self.sde.label(t)).astype(int)
        return self._x_0(lambda u: chain_of(self.sde).predicted_x_0("previous", f(u), u, step), u, t)

    def _direct(self, f, u, t):
        raise ValueError(
            "a network with config.model.prediction='direct' gives no eps: train it with "
            "config.training.objective=dddm and sample from it with config.sampling.method=fixed_point"
        )

    def _edm(self, f, u, t):
        skip, out, scale = self.preconditioning(t)
        return blocks.apply(skip, u) + blocks.apply(out, f(blocks.apply(scale, u)))

    def _velocity(self, f, u, t):
        column = lambda values: values.reshape((-1,) + (1,) * (u.ndim - 1))  # noqa: E731
        L = self.sde.L(t)
        inverse = blocks.inverse(L)
        M = blocks.matmul(inverse, self.sde.Psi(t, t * 0))
        x, v = jnp.split(blocks.apply(inverse, u), 2, axis=-1)
        e_v = jnp.split(f(u), 2, axis=-1)[1]
        if self.mixed_score:
            e_v = e_v + jnp.split(u, 2, axis=-1)[1] * column(L[..., 1, 1] / self.sde.Sigma(t)[..., 1, 1])
        e_x = x - column(M[..., 0, 0] / M[..., 1, 0]) * (v - e_v)
        to_R = blocks.matmul(blocks.transpose(self.sde.R(t)), blocks.transpose(inverse))
        return blocks.apply(to_R, jnp.concatenate([e_x, e_v], axis=-1))

    def _edm_aligned(self, f, u, t):
        skip, out, scale = self.alignment(t)
        return blocks.apply(skip, u) + blocks.apply(out, f(blocks.apply(scale, u)))

    def preconditioning(self, t):
        """The blocks (R^T P^-1, M, D) of "edm" at times t."""
        P, w, norm2 = self._gaussian(t)
        out = blocks.matmul(w, blocks.transpose(w)) / jnp.sqrt(norm2 * (1 + norm2))
        scale = jnp.eye(self.sde.k, dtype=P.dtype) / jnp.sqrt(jnp.diagonal(P, axis1=-2, axis2=-1))[..., None]
        return blocks.matmul(blocks.transpose(self.sde.R(t)), blocks.inverse(P)), out, scale

    def alignment(self, t):
        """The blocks (R^T P^-1, M, D') of "edm_aligned" at times t."""
        R, (P, w, norm2) = self.sde.R(t), self._gaussian(t)
        first = jnp.eye(self.sde.k, dtype=P.dtype)[:1]
        d = blocks.transpose(w / jnp.sqrt(norm2))
        rest = [jnp.flip(d, -1) * jnp.array([-1.0, 1.0], d.dtype)] if self.sde.k > 1 else []
        rows = jnp.concatenate([d / jnp.sqrt(1 + norm2), *rest], axis=-2)
        out = w / jnp.sqrt(1 + norm2) * first
        return blocks.matmul(blocks.transpose(R), blocks.inverse(P)), out, blocks.matmul(rows, blocks.inverse(R))

    def _gaussian(self, t):
        """P (..., k, k), w (..., k, 1) and |w|^2 (..., 1, 1) at times t: see the module's docstring."""
        column = self.sigma_data * self.sde.Psi(t, t * 0)[..., :, :1]
        P = blocks.matmul(column, blocks.transpose(column)) + self.sde.Sigma(t)
        w = blocks.matmul(blocks.inverse(self.sde.R(t)), column)
        return P, w, (w**2).sum((-1, -2), keepdims=True)

    def init(self, key, shape):
        """Parameters for images of shape (H, W, C) or points of shape (D,): the tree under "params", float32."""
        u = jnp.zeros((1, *shape[:-1], self.sde.k * shape[-1]))
        return self.module.init({"params": key}, u, jnp.ones(1), train=False)["params"]

    def bind(self, params, condition=None, guidance=1.0):
        """What samplers are given: the network with its parameters and condition, without dropout.

        guidance: scale of classifier-free guidance; 1 is none.
        """
        kind = BoundDirect if self.prediction == "direct" else BoundEps
        return kind(self, params, condition or {}, guidance)


PREDICTIONS = {
    "eps": EpsNet._eps,
    "score": EpsNet._score,
    "x_0": EpsNet._x_0,
    "v": EpsNet._v,
    "previous": EpsNet._previous,
    "direct": EpsNet._direct,
    "edm": EpsNet._edm,
    "edm_aligned": EpsNet._edm_aligned,
    "velocity": EpsNet._velocity,
}
"""prediction -> (eps_net, f, u, t) -> eps, with f(u) the network in the basis of the state."""


def create_eps_net(config, module, sde) -> EpsNet:
    """The EpsNet that config.model and config.training describe. Networks of DDDM always know the discrete chain."""
    continuous = config.training.continuous and config.model.prediction != "direct"
    return EpsNet(
        module,
        sde,
        prediction=config.model.prediction,
        mixed_score=config.model.mixed_score,
        sigma_data=config.model.sigma_data,
        chain=0 if continuous else config.model.get("num_scales", 1000),
        label_scale=1000 / chain_of(sde).n if config.model.get("rescale_timesteps", False) else 1.0,
        variance=config.model.get("variance", "fixed_large"),
        context_noise=config.model.get("context_noise", 0.0),
    )
