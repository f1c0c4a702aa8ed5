"""Feature extractors by name: what turns uint8 images into the vectors that distances compare.

An extractor is identified by the hash of its weights and by its preprocessing, in words; statistics of one
are refused for another (`statistics.check_compatible`).
"""

import functools
import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linnet import registry


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """uint8 images (N, H, W, C) -> {"features": (N, D) float32}, and {"logits": (N, K)} if it classifies.

    width: D, features of an image; None: as many as it has numbers. classes: names of the classes that the logits are
    of; () where they are none of our data sets'.
    """

    name: str
    hash: str
    preprocessing: str
    compute: Callable[[np.ndarray], dict[str, np.ndarray]]
    width: int | None = None
    classes: tuple[str, ...] = ()

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(
                f"extractors take uint8 images (N, H, W, C), got {images.dtype} {images.shape}; "
                "round samples to uint8 first"
            )
        return self.compute(images)

    def features_of(self, shape: tuple[int, ...]) -> int:
        """D of images of this shape (H, W, C)."""
        return math.prod(shape) if self.width is None else self.width


def over_white(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) -> the same without alpha: RGBA is laid over white, for networks that know none."""
    if images.shape[-1] != 4:
        return images
    alpha = images[..., 3:] / 255.0
    return np.rint(images[..., :3] * alpha + 255.0 * (1 - alpha)).astype(np.uint8)


def parameter_hash(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over the names in sorted order, the shapes and the little-endian float32 values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name], "<f4")
        digest.update(f"{name}{value.shape}".encode())
        digest.update(value.data)
    return digest.hexdigest()


def _inception(path: str | os.PathLike | None) -> Extractor:
    """FID's Inception, 2048 features; `path` of the weights as in `inception_weights.find_weights`."""
    from linnet.devices.parallel import everywhere
    from linnet.evaluation import inception, inception_weights

    state = inception_weights.read_state_dict(inception_weights.find_weights(path))
    params = everywhere(inception.parameters(state))

    def compute(images: np.ndarray) -> dict[str, np.ndarray]:
        taps = inception.activations(params, over_white(images))
        return {"features": taps["2048"], "logits": taps["logits_unbiased"]}

    return Extractor(
        name="inception",
        hash=parameter_hash(state),
        preprocessing=inception.PREPROCESSING,
        compute=compute,
        width=2048,
    )


def _shipped(name: str, path: str | os.PathLike | None) -> Extractor:
    """The shipped classifier `name`, 64 features; `path` of another file it was trained to."""
    from flax.traverse_util import flatten_dict

    from linnet.devices.parallel import everywhere
    from linnet.evaluation import classifier

    shipped = {"digits": classifier.DIGITS, "mnist": classifier.MNIST}[name]
    params, _ = classifier.load(path or shipped.asset)
    on_devices = everywhere(params)
    return Extractor(
        name=name,
        hash=parameter_hash(flatten_dict(params, sep="/")),
        preprocessing=shipped.preprocessing,
        compute=lambda images: classifier.activations(shipped, on_devices, over_white(images)),
        width=classifier.FEATURES,
        classes=classifier.CLASSES,
    )


def _vgg(path: str | os.PathLike | None) -> Extractor:
    """ImageNet's VGG16, 512 features; `path`: the folder of the weights as in `lpips_weights.load_params`."""
    from linnet.devices.parallel import everywhere
    from linnet.evaluation import vgg

    layers = vgg.load(path)
    on_devices = everywhere(layers)
    named = {
        f"{i}/{j}/{key}": layer[key] for i, stage in enumerate(layers) for j, layer in enumerate(stage) for key in layer
    }
    return Extractor(
        name="vgg",
        hash=parameter_hash(named),
        preprocessing=vgg.PREPROCESSING,
        compute=lambda images: vgg.activations(on_devices, over_white(images)),
        width=512,
    )


def _pixels(path: str | os.PathLike | None) -> Extractor:
    """Raw pixels divided by 255, H*W*C features: needs no weights and suits tiny images only."""
    if path is not None:
        raise ValueError("the extractor 'pixels' has no weights: leave its path empty")
    preprocessing = "x / 255, flattened"
    return Extractor(
        name="pixels",
        hash=hashlib.sha256(preprocessing.encode()).hexdigest(),
        preprocessing=preprocessing,
        compute=lambda images: {"features": images.reshape(len(images), -1).astype(np.float32) / 255.0},
    )


EXTRACTORS: dict[str, Callable[[str | os.PathLike | None], Extractor]] = {
    "inception": _inception,
    "digits": functools.partial(_shipped, "digits"),
    "mnist": functools.partial(_shipped, "mnist"),
    "vgg": _vgg,
    "pixels": _pixels,
}


def get_extractor(name: str, path: str | os.PathLike | None = None) -> Extractor:
    """Loads the weights of extractor `name` (from `path` if given). Raises ValueError on an unknown name."""
    return registry.choose(EXTRACTORS, name, "config.eval.extractor")(path)
