"""A tiny autoencoder of 8 x 8 digits, linear, as a user would write one; and its parameters, the principal components.

The best linear autoencoder of n numbers is that of the first n principal components (Baldi and Hornik 1989), so its
training is a singular value decomposition.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

SHAPE = (2, 3, 4)
"""Of the latents: neither square nor of the channels of pictures."""


class Linear(nn.Module):
    """encode: (B, 8, 8, 1) -> (B, 2, 3, 4); decode: back."""

    def setup(self):
        self.mean = self.param("mean", nn.initializers.zeros_init(), (64,))
        self.basis = self.param("basis", nn.initializers.zeros_init(), (64, 24))

    def encode(self, x):
        return ((x.reshape(len(x), 64) - self.mean) @ self.basis).reshape(len(x), *SHAPE)

    def decode(self, z):
        return (z.reshape(len(z), 24) @ self.basis.T + self.mean).reshape(len(z), 8, 8, 1)


class Headless:
    """No autoencoder."""


def train(images):
    """{name: array} for uint8 images (N, 8, 8, 1)."""
    x = images.reshape(len(images), 64) / 127.5 - 1
    mean = x.mean(0)
    basis = np.linalg.svd(x - mean, full_matrices=False)[2][:24].T
    return {"mean": mean.astype(np.float32), "basis": jnp.asarray(basis, jnp.float32)}
