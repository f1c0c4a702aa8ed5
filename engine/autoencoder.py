"""The autoencoder of latent diffusion (arXiv:2112.10752): pictures <-> latents, by config.data.autoencoder.

A folder of diffusers' AutoencoderKL (or of a pipeline with one), or `package.module:Name`, a Flax module of the user's
(a class to be called without arguments, or an object) with config.data.autoencoder_params, an .npz or .safetensors of
its parameters by names like "encoder/Conv_0/kernel". Methods, of pictures in [-1, 1]:

    encode (B, H, W, C) -> (B, h, w, c)         decode (B, h, w, c) -> (B, H, W, C)
"""

import functools
import importlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.data.latents import Latents
from linnet.evaluation.features import parameter_hash
from linnet.files.npz import open_npz
from linnet.interop import autoencoders, safetensors

BATCH = 64


class Autoencoder:
    """name: what config.data.autoencoder says; scale, shift: those that its authors publish, None where they do not."""

    def __init__(
        self, name: str, module: Any, params: dict[str, Any], scale: float | None = None, shift: float | None = None
    ):
        self.name = name
        self.module = module
        self.params = params
        self.scale = scale
        self.shift = shift
        missing = [method for method in ("encode", "decode") if not callable(getattr(module, method, None))]
        if missing:
            raise ValueError(f"config.data.autoencoder={name!r} has no method {missing[0]}: it needs encode and decode")
        self._encode, self._decode = jax.jit(self._encoded), jax.jit(self._decoded)

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the parameters."""
        return parameter_hash(traverse_util.flatten_dict(self.params, sep="/"))

    def _encoded(self, params, images):
        return self.module.apply({"params": params}, transforms.to_model_range(images), method="encode")

    def _decoded(self, params, z):
        return transforms.to_uint8(self.module.apply({"params": params}, z, method="decode"))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """uint8 pictures (n, H, W, C) -> latents (n, h, w, c) float32."""
        return self._in_batches(self._encode, images)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Latents (n, h, w, c) -> uint8 pictures (n, H, W, C)."""
        return self._in_batches(self._decode, z)

    def _in_batches(self, function, inputs):
        """Each batch is filled up to one size, so that one program serves all."""
        size = min(BATCH, len(inputs))
        rows = np.arange(-(-len(inputs) // size) * size).reshape(-1, size) % len(inputs)
        return np.concatenate([np.asarray(function(self.params, inputs[index])) for index in rows])[: len(inputs)]

    def shape_of(self, method: str, shape: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
        """The shape that one array of this shape becomes. ValueError where the autoencoder does not take it."""
        function = {"encode": self._encoded, "decode": self._decoded}[method]
        try:
            made = jax.eval_shape(function, self.params, jax.ShapeDtypeStruct((1, *shape), dtype)).shape
        except Exception as error:  # whatever a module of the user's raises
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"config.data.autoencoder={self.name!r} cannot {method} arrays of {shape}, or its parameters are of "
                f"another network: {reason}"
            ) from error
        if len(made) != 4 or (method == "decode" and made[-1] not in (1, 3, 4)):
            raise ValueError(f"config.data.autoencoder={self.name!r} makes {made[1:]} of {shape}, which is no picture")
        return made[1:]


def load(settings: ConfigDict) -> Autoencoder:
    """The Autoencoder of config.data. ValueError, ImportError and OSError say what is missing."""
    name, params = settings.autoencoder, settings.autoencoder_params
    if not name:
        raise ValueError(
            "config.data.autoencoder is missing: latents are made and shown by it: a folder of diffusers' "
            "AutoencoderKL, or package.module:Name"
        )
    if not is_module(name):
        if params:
            raise ValueError(
                "config.data.autoencoder_params means nothing to a folder, which has its own: leave it out"
            )
        found = autoencoders.load(Path(name))
        return Autoencoder(name, *found)
    if not params:
        raise ValueError(
            f"config.data.autoencoder={name!r} needs config.data.autoencoder_params, an .npz of its parameters"
        )
    return Autoencoder(name, imported(name), read_params(Path(params)))


def is_module(name: str) -> bool:
    """Whether it is `package.module:Name` and no path."""
    return ":" in name and not Path(name).exists()


def imported(name: str) -> Any:
    """The Flax module `package.module:Name`. ImportError."""
    where, _, what = name.partition(":")
    try:
        found = getattr(importlib.import_module(where), what)
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"config.data.autoencoder={name!r} cannot be imported ({error}): name package.module:Name, and where it "
            "lies by PYTHONPATH"
        ) from error
    return found() if isinstance(found, type) else found


def read_params(path: Path) -> dict[str, Any]:
    """The tree of an .npz or .safetensors. ValueError, OSError."""
    if path.suffix == ".safetensors":
        flat = safetensors.read(path)[0]
    else:
        with open_npz(path) as arrays:
            flat = dict(arrays)
    return traverse_util.unflatten_dict({name: jnp.asarray(array) for name, array in flat.items()}, sep="/")


class Decoder:
    """decoder(x (n, h, w, c) in the range of the process) -> uint8 pictures. head: the Latents of config.data.latents.

    ValueError where the autoencoder does not decode them, or is not the one that made them.
    """

    def __init__(self, settings: ConfigDict, head: Latents):
        self.head = head
        self.autoencoder = load(settings)
        if head.autoencoder not in ("", self.autoencoder.hash):
            raise ValueError(
                f"config.data.latents={settings.latents!r} are of another autoencoder ({head.autoencoder[:12]}) than "
                f"config.data.autoencoder={settings.autoencoder!r} ({self.autoencoder.hash[:12]}): name that one"
            )
        self.autoencoder.shape_of("decode", head.shape, jnp.float32)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.autoencoder.decode(np.asarray(x) / self.head.scale + self.head.shift)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """uint8 pictures (n, H, W, C) -> x (n, h, w, c) float32 as the process sees latents."""
        return (self.autoencoder.encode(images) - self.head.shift) * self.head.scale

    def identity(self) -> dict[str, Any]:
        """What decides the pictures, for the record."""
        scaling = {"scale": self.head.scale.tolist(), "shift": self.head.shift.tolist()}
        return {"parameters": self.autoencoder.hash, **scaling}


def check_latents(config: ConfigDict) -> None:
    """ValueError for keys that mean nothing to a process of latents, or nothing without one."""
    data = config.data
    if not data.latents:
        if data.autoencoder:
            raise ValueError("config.data.autoencoder means nothing without config.data.latents: leave it out")
        return
    refused = {
        "data.random_flip": data.random_flip,
        "data.uniform_dequantization": data.uniform_dequantization,
        "model.super_resolution": config.model.get("super_resolution", False),
    }
    for key in (key for key, is_set in refused.items() if is_set):
        raise ValueError(f"config.{key}=True means nothing to config.data.latents: set it to False")
