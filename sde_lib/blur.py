"""Blurring diffusion (arXiv:2209.05557) in the form of gDDIM's experiments (arXiv:2206.05564), as a linear SDE.

The state is the orthonormal 2-D DCT-II of the image, in which blur is diagonal: frequency (i, j) has

    Psi(t, 0) = alpha_t D_t,    Sigma = sigma_t^2 = 1 - alpha_t^2,    alpha_t = cos a,  a = pi/2 (t + 0.004) / 1.008
    D_t = (1 - min_scale) exp(-lambda_ij tau_t) + min_scale,    lambda_ij = (pi i / H)^2 + (pi j / W)^2
    tau_t = (sigma_blur_max sin(pi t / 2)^2)^2 / 2

so that F = -a' tan a - w lambda_ij tau' and G G^T = 2 a' tan a + 2 sigma^2 w lambda_ij tau', w = 1 - min_scale / D_t.
At t = 0 the schedule starts with a step: the data u_0 have Psi(0, 0) = 1, and alpha_{0+} = cos(0.0062), with a noise of
standard deviation 0.0062, applies from there on. The process ends where the noise is rho_max times the signal:
alpha_T^2 = alpha_0^2 / ((rho_max + sigma_0)^2 + alpha_0^2).
"""

import jax
import jax.numpy as jnp
import numpy as np

from linnet.arrays import Array, Block, Host, Times
from linnet.sde_lib import blocks
from linnet.sde_lib.base import LinearSDE

OFFSET = 0.004
RATE = np.pi / 2 / (1 + 2 * OFFSET)


def dct_matrix(n: int) -> Host:
    """The orthonormal DCT-II of n points, shape (n, n), rows are frequencies, float64."""
    frequency, point = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    matrix = np.sqrt(2 / n) * np.cos(np.pi * frequency * (point + 0.5) / n)
    matrix[0] /= np.sqrt(2)
    return matrix


class Blur(LinearSDE):
    """Blurring diffusion, k = 1 with blocks of spatial shape (H, W).

    sigma_blur_max: standard deviation of the strongest blur, in pixels; min_scale: what is left of frequencies blurred
    away; rho_max: noise to signal at the end T; image_shape: (H, W), needed. ValueError for values out of range.
    """

    grid = "power"

    def __init__(
        self,
        sigma_blur_max: float = 10.0,
        min_scale: float = 1e-3,
        rho_max: float = 80.0,
        t_min: float = 1e-5,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        if image_shape is None:
            raise ValueError("the blur process acts per frequency of an image: give image_shape=(H, W)")
        if sigma_blur_max < 0 or not 0 < min_scale <= 1 or rho_max <= 0:
            raise ValueError(
                f"sde.sigma_blur_max={sigma_blur_max} must not be negative, sde.min_scale={min_scale} must lie in "
                f"(0, 1] and sde.rho_max={rho_max} must be positive"
            )
        self.sigma_blur_max = sigma_blur_max
        self.min_scale = min_scale
        self.t_min = t_min
        H, W = image_shape
        self.eigenvalues = (np.pi * np.arange(H)[:, None] / H) ** 2 + (np.pi * np.arange(W) / W) ** 2
        self.dct = dct_matrix(H), dct_matrix(W)
        a_0 = RATE * OFFSET
        self.T = float(np.arctan((rho_max + np.sin(a_0)) / np.cos(a_0)) / RATE - OFFSET)

    def _trigonometry(self, t):
        """(sin a, cos a, cos a counted from its zero just after t = 1, where float32 would lose digits)."""
        xp, t = blocks.namespace(t)
        return xp.sin(RATE * (t + OFFSET)), xp.sin(RATE * ((1 - t) + OFFSET))

    def _blur(self, t):
        """(D_t, w lambda tau'), both t.shape + (H, W)."""
        xp, t = blocks.namespace(t)
        t = t[..., None, None]
        eigenvalues = xp.asarray(self.eigenvalues, t.dtype)
        sin, cos = xp.sin(np.pi / 2 * t), xp.cos(np.pi / 2 * t)
        tau, slope = self.sigma_blur_max**2 * sin**4 / 2, np.pi * self.sigma_blur_max**2 * sin**3 * cos
        kept = (1 - self.min_scale) * xp.exp(-eigenvalues * tau)
        return kept + self.min_scale, kept / (kept + self.min_scale) * eigenvalues * slope

    def _level(self, values):
        """Block from values of shape t.shape + (H, W) or, for all frequencies alike, t.shape + (1, 1)."""
        return values[..., None, None]

    def _scale(self, t):
        """Psi(t, 0), shape t.shape + (H, W): 1 at t = 0 and alpha_t D_t after it."""
        xp, t = blocks.namespace(t)
        _, cos = self._trigonometry(t)
        return xp.where(t[..., None, None] == 0, 1.0, cos[..., None, None] * self._blur(t)[0])

    def F(self, t: Times) -> Block:
        sin, cos = self._trigonometry(t)
        return self._level(-(RATE * sin / cos)[..., None, None] - self._blur(t)[1])

    def GGt(self, t: Times) -> Block:
        sin, cos = self._trigonometry(t)
        return self._level(2 * (RATE * sin / cos)[..., None, None] + 2 * (sin**2)[..., None, None] * self._blur(t)[1])

    def Psi(self, t: Times, s: Times) -> Block:
        return self._level(self._scale(t) / self._scale(s))

    def Sigma(self, t: Times) -> Block:
        ones = np.ones(self.eigenvalues.shape)
        xp, _ = blocks.namespace(t)
        sin, _ = self._trigonometry(t)
        return self._level((sin**2)[..., None, None] * xp.asarray(ones, sin.dtype))

    def lift(self, x: Array) -> Array:
        """Images (B, H, W, C) -> their DCT, same shape."""
        return self.from_image(x)

    def project(self, u: Array) -> Array:
        """Inverse of `lift`."""
        return self.to_image(u)

    def to_image(self, u: Array) -> Array:
        """The inverse DCT over (H, W)."""
        return self._transform(u, *(matrix.T for matrix in self.dct))

    def from_image(self, u: Array) -> Array:
        """The DCT over (H, W)."""
        return self._transform(u, *self.dct)

    def _transform(self, x, rows, columns):
        rows, columns = jnp.asarray(rows, x.dtype), jnp.asarray(columns, x.dtype)
        along_w = jnp.einsum("jw,...hwc->...hjc", columns, x, precision=jax.lax.Precision.HIGHEST)
        return jnp.einsum("ih,...hjc->...ijc", rows, along_w, precision=jax.lax.Precision.HIGHEST)
