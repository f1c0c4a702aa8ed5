"""DDPM against a network written a second time in NumPy float64, read from the same parameters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from models.ddpm import DDPM

NET = DDPM(nf=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(4,))


class NumpyDDPM:
    """The same U-Net, two levels of one block, channels first, with parameters taken in order of use."""

    def __init__(self, params, resamp_with_conv):
        self.params = jax.tree.map(np.float64, traverse_util.flatten_dict(params, sep="/"))
        self.resamp_with_conv = resamp_with_conv
        self.used = {}

    def next(self, kind):
        index = self.used.get(kind, 0)
        self.used[kind] = index + 1
        return f"{kind}_{index}"

    def conv(self, name, x, stride=1):
        """3x3 correlation by explicit loops; stride 2 pads below and to the right only."""
        kernel, bias = self.params[f"{name}/kernel"], self.params[f"{name}/bias"]
        padded = np.pad(x, ((0, 0), (0, 0), (2 - stride, 1), (2 - stride, 1)))
        height, width = x.shape[2] // stride, x.shape[3] // stride
        out = np.zeros((x.shape[0], kernel.shape[3], height, width)) + bias[:, None, None]
        for i in range(3):
            for j in range(3):
                window = padded[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
                out += np.einsum("bchw,cd->bdhw", window, kernel[i, j])
        return out

    def dense(self, name, x):
        return x @ self.params[f"{name}/kernel"] + self.params[f"{name}/bias"]

    def nin(self, name, x):
        product = np.einsum("bchw,cd->bdhw", x, self.params[f"{name}/W"])
        return product + self.params[f"{name}/b"][:, None, None]

    def norm(self, name, x):
        grouped = x.reshape(x.shape[0], 32, -1)
        grouped = grouped - grouped.mean(-1, keepdims=True)
        grouped /= np.sqrt((grouped**2).mean(-1, keepdims=True) + 1e-6)
        return (
            grouped.reshape(x.shape) * self.params[f"{name}/scale"][:, None, None]
            + self.params[f"{name}/bias"][:, None, None]
        )

    def block(self, x, temb):
        name = self.next("ResnetBlockDDPM")
        h = self.conv(f"{name}/Conv_0", silu(self.norm(f"{name}/GroupNorm_0", x)))
        h = h + self.dense(f"{name}/Dense_0", silu(temb))[:, :, None, None]
        h = self.conv(f"{name}/Conv_1", silu(self.norm(f"{name}/GroupNorm_1", h)))
        return (self.nin(f"{name}/NIN_0", x) if f"{name}/NIN_0/W" in self.params else x) + h

    def attention(self, x):
        name = self.next("AttnBlock")
        h = self.norm(f"{name}/GroupNorm_0", x)
        q, k, v = (self.nin(f"{name}/NIN_{i}", h).reshape(*x.shape[:2], -1) for i in range(3))
        logits = np.einsum("bcq,bck->bqk", q, k) / np.sqrt(x.shape[1])
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return x + self.nin(f"{name}/NIN_3", np.einsum("bqk,bck->bcq", weights, v).reshape(x.shape))

    def __call__(self, images, labels):
        """images (B, 8, 8, C), labels (B,) -> (B, 8, 8, C), with attention at resolution 4 only."""
        arguments = np.float64(labels)[:, None] * 10_000.0 ** (-np.arange(16) / 15)
        temb = self.dense("Dense_0", np.concatenate([np.sin(arguments), np.cos(arguments)], -1))
        temb = self.dense("Dense_1", silu(temb))
        first = self.conv("Conv_0", np.float64(images).transpose(0, 3, 1, 2))
        second = self.block(first, temb)
        third = self.conv("Downsample_0/Conv_0", second, 2) if self.resamp_with_conv else halved(second)
        fourth = self.attention(self.block(third, temb))
        h = self.block(self.attention(self.block(fourth, temb)), temb)
        for skip in (fourth, third):
            h = self.block(np.concatenate([h, skip], 1), temb)
        h = self.attention(h).repeat(2, 2).repeat(2, 3)
        h = self.conv("Upsample_0/Conv_0", h) if self.resamp_with_conv else h
        for skip in (second, first):
            h = self.block(np.concatenate([h, skip], 1), temb)
        return self.conv("Conv_1", silu(self.norm("GroupNorm_0", h))).transpose(0, 2, 3, 1)


def silu(x):
    return x / (1 + np.exp(-x))


def halved(x):
    return x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).mean((3, 5))


def random_parameters(net, x, label):
    """Normal values of the scale of each layer's fan-in, zero-initialised layers included."""
    shapes = jax.eval_shape(net.init, jax.random.key(1), x, label)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    deviations = [max(1, int(np.prod(leaf.shape[:-1]))) ** -0.5 if leaf.ndim > 1 else 0.3 for leaf in leaves]
    return tree.unflatten(
        [d * jax.random.normal(k, leaf.shape) for d, k, leaf in zip(deviations, keys, leaves, strict=True)]
    )


@pytest.mark.parametrize("resamp_with_conv", [True, False])
def test_forward_equals_numpy(resamp_with_conv):
    net = dataclasses.replace(NET, resamp_with_conv=resamp_with_conv)
    x, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)), jnp.array([3.0, 700.0])
    params = random_parameters(net, x, label)
    out = jax.jit(lambda p: net.apply({"params": p}, x, label))(params)
    expected = NumpyDDPM(params, resamp_with_conv)(x, label)
    # float32 against float64; the embedding's arguments reach 700 radians, 3e-5 of rounding each
    np.testing.assert_allclose(out, expected, atol=1e-4 * np.abs(expected).max())


def test_remat_keeps_the_parameter_names():
    x, label = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    names = [
        jax.tree.structure(jax.eval_shape(net.init, jax.random.key(0), x, label))
        for net in (NET, dataclasses.replace(NET, remat=True))
    ]
    assert names[0] == names[1]


def test_refusals():
    with pytest.raises(ValueError, match="config.model.nonlinearity='gelu' is unknown"):
        DDPM(nonlinearity="gelu")
    with pytest.raises(ValueError, match="image size 9x8 must be a multiple of 2"):
        jax.eval_shape(NET.init, jax.random.key(0), jnp.zeros((1, 9, 8, 3)), jnp.zeros(1))
