"""Which pixels of an image are seen: masks that are drawn, and masks from files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet.arrays import Array
from linnet.data.folder import open_image
from linnet.data.splits import find_images
from linnet.randomness import Purpose, key_for

WHITE = 128
"""Grey levels of a mask from here on hide."""


def half(size: tuple[int, ...], share: float | None, keys: Array) -> np.ndarray:
    """The right half is hidden."""
    seen = np.ones(size, bool)
    seen[:, size[1] // 2 :] = False
    return np.broadcast_to(seen, (len(keys), *size))


def box(size: tuple[int, ...], share: float, keys: Array) -> np.ndarray:
    """A box in the middle, with the sides of the image times the root of `share`, is hidden."""
    seen = np.ones(size, bool)
    sides = [round(share**0.5 * side) for side in size]
    top, left = ((side - inner) // 2 for side, inner in zip(size, sides, strict=True))
    seen[top : top + sides[0], left : left + sides[1]] = False
    return np.broadcast_to(seen, (len(keys), *size))


def random(size: tuple[int, ...], share: float, keys: Array) -> np.ndarray:
    """round(share H W) pixels are hidden, others in each image."""
    pixels = size[0] * size[1]
    order = np.asarray(jax.vmap(lambda key: jax.random.permutation(key, pixels))(keys))
    return (order >= round(share * pixels)).reshape(len(keys), *size)


MASKS: dict[str, Callable[..., np.ndarray]] = {"half": half, "box": box, "random": random}
SHARES = {"box": 0.25, "random": 0.5}


def masks(settings: ConfigDict, images: Sequence[str | int], size: tuple[int, ...], seed: int) -> np.ndarray:
    """The masks (n, H, W, 1) bool, True where pixels are seen, of these n images.

    settings: config.inpaint. images: their names, or numbers for images of a data set. size: (H, W).
    ValueError for settings that contradict each other, masks of another size, and too few.
    """
    if settings.masks:
        if settings.mask != "half" or settings.share is not None:
            raise ValueError("config.inpaint.mask and share mean nothing beside config.inpaint.masks: leave them out")
        return read(settings.masks, images, size)
    if settings.mask not in SHARES and settings.share is not None:
        raise ValueError(f"config.inpaint.share means nothing to config.inpaint.mask={settings.mask}")
    share = SHARES.get(settings.mask) if settings.share is None else settings.share
    keys = key_for(seed, Purpose.MASKS, np.arange(len(images)))
    return np.asarray(MASKS[settings.mask](size, share, keys))[..., None]


def read(path: str, images: Sequence[str | int], size: tuple[int, ...]) -> np.ndarray:
    """The masks of files: one for all, or the one of the same name as each image; in turn for images without names."""
    found = find_images(Path(path).expanduser(), "train")
    files = {Path(name).stem: name for name in found.names}
    chosen = [name if isinstance(name, str) else list(files)[name % len(files)] for name in images]
    if len(files) == 1:
        chosen = list(files) * len(images)
    absent = [name for name in chosen if name not in files]
    if absent:
        raise ValueError(
            f"{path} has {len(files)} masks and none for the image {absent[0]}: a mask has the name of its image, or "
            "there is one for all"
        )
    arrays = {name: one(found.files, files[name], size) for name in set(chosen)}
    return np.stack([arrays[name] for name in chosen])


def one(files: Any, name: str, size: tuple[int, ...]) -> np.ndarray:
    """One mask (H, W, 1). ValueError where it has another size or hides nothing."""
    with open_image(files, name) as image:
        seen = np.asarray(image.convert("L")) < WHITE
    if seen.shape != tuple(size):
        raise ValueError(
            f"the mask {name} has {seen.shape[0]} x {seen.shape[1]} pixels, and the images of the network have "
            f"{size[0]} x {size[1]}: make it of their size"
        )
    if seen.all():
        raise ValueError(f"the mask {name} hides nothing: paint white what is to be filled")
    return seen[..., None]
