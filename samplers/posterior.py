"""eps(u, t) of images of which y = A x_0 is known (see `measurements`), for every sampler and process.

With psi the column of x in Psi(t, 0) and s^2 = (psi^T Sigma^-1 psi)^-1, the variance of the noise in units of x_0,

    x = E[x_0 | u] = s^2 psi^T Sigma^-1 (u - R eps)         (of all components, each as far as it can be trusted)

and the eps given y is that of another prediction of x_0, x + d:      eps_y = eps - R^-1 psi d.

    null_space  d = A^+ (y - A x): the prediction with its measured part put right (DDNM, arXiv:2212.00490). Where all
                pixels are noised alike, what is measured then follows the process exactly, given y.
    pigdm       d = V A^T w, A V' A^T w = y - A x, with V = Cov[x_0 | u] and V' the same of data N(m, sigma_data^2):
                pseudo-inverse guidance (Song et al. 2023), the gradient of log N(y; A x, A V' A^T)
    mmps        V' = V: moment matching (arXiv:2405.13712), exact for all Gaussian data

V acts by the derivative of x along a direction, for Tweedie's formula of second order, Cov[psi x_0 | u] = Sigma + Sigma
(d score / du) Sigma, reads

    V w = s^2 (dx / du) psi w

and V is symmetric. So the gradient of log p(y | u), which is (dx / du)^T A^T w, needs no backward pass. Equations with
A V' A^T are solved by conjugate gradients, each image by itself.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from linnet.arrays import Array, Block, per_example
from linnet.samplers.base import of_image
from linnet.samplers.measurements import Measurement, adjoint
from linnet.sde_lib import LinearSDE, blocks

CLOSED_FORM_STEPS = 30
"""Conjugate gradients where V' is known: they end by themselves after a step for V' the same for all pixels."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """eps_fn(u, t) of the images of which `y` is what `A` makes. network: the eps function without y.

    method: one of METHODS. sigma_data: standard deviation of the data, for pigdm. iterations: of conjugate gradients,
    for mmps, each of which takes a derivative of the network.
    """

    network: Any
    sde: LinearSDE
    A: Measurement
    y: Array
    method: str = "pigdm"
    sigma_data: float = 0.5
    iterations: int = 3

    def __call__(self, u: Array, t: Array) -> Array:
        """eps of the images with this y, the shape of u (B, ...), at times t (B,)."""
        eps, d = METHODS[self.method](self, u, t)
        return eps - blocks.apply(blocks.inverse(self.sde.R(t)), moved(self.sde, d, t))

    def of_image(self, i: Array) -> "Posterior":
        """The same for image i alone, a batch of one."""
        return dataclasses.replace(self, network=of_image(self.network, i), A=of_image(self.A, i), y=self.y[i][None])

    def predict(self, u: Array, t: Array) -> tuple[Array, Array]:
        """(E[x_0 | u], eps) without y."""
        eps = self.network(u, t)
        return predicted(self.sde, u, eps, t), eps


def column(sde: LinearSDE, t: Array) -> Block:
    """psi, a block (k, 1), at t (B,)."""
    return sde.Psi(t, t * 0)[..., :, :1]


def noise_variance(sde: LinearSDE, t: Array) -> Block:
    """s^2, a block (1, 1), at t (B,)."""
    psi = column(sde, t)
    return 1 / blocks.matmul(blocks.matmul(blocks.transpose(psi), blocks.inverse(sde.Sigma(t))), psi)


def moved(sde: LinearSDE, d: Array, t: Array) -> Array:
    """psi d: how far the mean of u_t moves where x_0 moves by the image d."""
    return blocks.apply(column(sde, t), sde.from_image(d))


def predicted(sde: LinearSDE, u: Array, eps: Array, t: Array) -> Array:
    """x = E[x_0 | u] of the module's docstring, t (B,)."""
    psi = blocks.transpose(column(sde, t))
    row = blocks.matmul(blocks.matmul(noise_variance(sde, t), psi), blocks.inverse(sde.Sigma(t)))
    return sde.to_image(blocks.apply(row, u - blocks.apply(sde.R(t), eps)))


def null_space(known: Posterior, u: Array, t: Array) -> tuple[Array, Array]:
    """(eps, d) of the null-space method."""
    x, eps = known.predict(u, t)
    return eps, known.A.pinv(known.y - known.A(x))


def pigdm(known: Posterior, u: Array, t: Array) -> tuple[Array, Array]:
    """(eps, d) of pseudo-inverse guidance."""
    x, eps, V = covariance(known, u, t)

    def closed(w):
        return gaussian_covariance(known.sde, known.sigma_data, w, t)

    return eps, V(solve(known.A, closed, known.y - known.A(x), CLOSED_FORM_STEPS))


def mmps(known: Posterior, u: Array, t: Array) -> tuple[Array, Array]:
    """(eps, d) of moment matching."""
    x, eps, V = covariance(known, u, t)
    return eps, V(solve(known.A, V, known.y - known.A(x), known.iterations))


METHODS = {"null_space": null_space, "pigdm": pigdm, "mmps": mmps}


def covariance(known: Posterior, u: Array, t: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
    """(x, eps, w -> Cov[x_0 | u] w) by the derivative of the network at u."""
    sde = known.sde
    (x, eps), derivative = jax.linearize(lambda u: known.predict(u, t), u)
    variance = noise_variance(sde, t)

    def V(w):
        return derivative(blocks.apply(column(sde, t), blocks.apply(variance, sde.from_image(w))))[0]

    return x, eps, V


def gaussian_covariance(sde: LinearSDE, sigma_data: float, w: Array, t: Array) -> Array:
    """Cov[x_0 | u] w of Gaussian data: (1 / sigma_data^2 + 1 / s^2)^-1 w."""
    variance = 1 / (1 / sigma_data**2 + 1 / noise_variance(sde, t))
    return sde.to_image(blocks.apply(variance, sde.from_image(w)))


def solve(A: Measurement, V: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """A^T w with A V A^T w = b, by so many steps of conjugate gradients from 0, each image by itself.

    An image whose residual is 0, or along whose direction V is not positive, goes no further.
    """

    def dot(a, b):
        return per_example((a * b).reshape(len(a), -1).sum(1), a)

    def step(state, _):
        w, r, p = state
        Ap = A(V(adjoint(A, p)))
        curvature = dot(p, Ap)
        size = dot(r, r)
        goes = (curvature > 0) & (size > 0)
        length = jnp.where(goes, size / jnp.where(goes, curvature, 1), 0)
        rest = r - length * Ap
        turned = rest + dot(rest, rest) / jnp.where(goes, size, 1) * p
        return (w + length * p, rest, jnp.where(goes, turned, 0)), None

    (w, _, _), _ = jax.lax.scan(step, (jnp.zeros_like(b), b, b), length=iterations)
    return adjoint(A, w)
