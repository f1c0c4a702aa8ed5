"""Gaussian data of any covariance: the exact eps, and the law of an image of which y = A x is known."""

import jax.numpy as jnp
import numpy as np

from sde_lib import blocks


def dense(linear, shape):
    """The matrix of a linear map of states of `shape` (H, W, C)."""
    size = int(np.prod(shape))
    return jnp.asarray(linear(jnp.eye(size).reshape(size, *shape))).reshape(size, -1).T


def as_matrix(block, shape):
    """The matrix of a block at one time (1, ...) on states of `shape`."""
    return dense(lambda u: blocks.apply(block, u), shape)


class GaussianImages:
    """x_0 ~ N(mean (d,), C (d, d)), images of `shape` with d numbers."""

    def __init__(self, shape, mean, C):
        self.shape = shape
        self.mean = mean
        self.C = C

    @classmethod
    def correlated(cls, shape, seed=0):
        """Any mean and covariance."""
        rng = np.random.default_rng(seed)
        size = int(np.prod(shape))
        root = rng.standard_normal((size, size)) / np.sqrt(size)
        return cls(shape, 0.5 * rng.standard_normal(size), 0.5 * root @ root.T + 0.02 * np.eye(size))

    @classmethod
    def white(cls, shape, variance, seed=0):
        """Any mean; C = variance I."""
        size = int(np.prod(shape))
        return cls(shape, 0.5 * np.random.default_rng(seed).standard_normal(size), variance * np.eye(size))

    def draw(self, seed):
        """One image (1, H, W, C)."""
        z = np.random.default_rng(seed).standard_normal(len(self.mean))
        return (self.mean + np.linalg.cholesky(self.C) @ z).reshape(1, *self.shape)

    def eps_fn(self, sde):
        """The exact eps(u, t); all times of a batch are alike."""
        state = (*self.shape[:-1], sde.k * self.shape[-1])
        lift = dense(sde.lift, self.shape)

        def eps_fn(u, t):
            one = t[:1]
            Psi, R, Sigma = (as_matrix(block, state) for block in (sde.Psi(one, one * 0), sde.R(one), sde.Sigma(one)))
            carried = Psi @ lift
            P = carried @ self.C @ carried.T + Sigma
            gap = u.reshape(len(u), -1) - carried @ self.mean
            return (jnp.linalg.solve(P, gap.T).T @ R).reshape(u.shape)

        return eps_fn

    def given(self, A, y):
        """The images with A x = y, y (1, ...): rows of A that see nothing are left out."""
        M = np.asarray(dense(A, self.shape))
        rows = np.abs(M).max(1) > 0
        M, y = M[rows], np.asarray(y).reshape(-1)[rows]
        gain = self.C @ M.T @ np.linalg.inv(M @ self.C @ M.T)
        return GaussianImages(self.shape, self.mean + gain @ (y - M @ self.mean), self.C - gain @ M @ self.C)


def law_of_flow(run, sde, shape):
    """(mean, covariance) of x = run(u_T) with u_T of the prior, for affine `run`: from its columns, without drawing."""
    state = (*shape[:-1], sde.k * shape[-1])
    size = int(np.prod(state))
    std = np.broadcast_to(np.repeat(sde.prior_std(), shape[-1]), state).reshape(-1)
    u_T = np.concatenate([np.zeros((1, size)), np.diag(std)]).reshape(size + 1, *state)
    x = np.asarray(run(jnp.asarray(u_T))).reshape(size + 1, -1)
    columns = x[1:] - x[0]
    return x[0], columns.T @ columns
