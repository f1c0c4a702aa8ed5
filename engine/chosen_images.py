"""The images that --mode=inpaint, colorize, super_resolution and edit are about, and their classes.

`settings` is the group of the mode in the config; its key `images` is a path, or empty for the images of the data.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data.folder import folder_source
from linnet.data.source import Drawn, Source
from linnet.engine.classes import labelled
from linnet.engine.sample_conditions import SampleConditions

N = 8
"""Images where config.eval.num_images is 0."""


def chosen_images(
    config: ConfigDict,
    settings: ConfigDict,
    shape: tuple[int, ...],
    evaluated: Callable[[], Source],
    size: tuple[int, int] | None = None,
) -> Any:
    """The source of `settings.images`, read as the data are, or without it some of config.eval.image_split.

    Those are drawn by the seed, since images of a folder come in the order of their classes.

    shape: (H, W, C) of the images of the data. evaluated: opens those of the data. size: (H, W) of pictures of
    `settings.images`; None: that of the data. ValueError for points and networks of super-resolution.
    """
    if len(shape) != 3:
        raise ValueError("this mode is for images, and config.data.dataset=points has none")
    if config.model.get("super_resolution", False):
        raise ValueError(
            "a network with config.model.super_resolution=True is given a low-resolution image: use --mode=sample, or "
            "a network without"
        )
    if not settings.images:
        return Drawn(evaluated(), config.eval.num_images or N, config.seed)
    data = config.data
    read = {"path": settings.images, "image_size": size or shape[:2], "num_channels": shape[-1]}
    return folder_source(ConfigDict(read | {"background": data.background, "crop": 0 if size else data.crop}), "train")


def refuse_latents(config: ConfigDict, reason: str) -> None:
    """ValueError, which ends in the reason, for a network of latents, in modes that are about pixels."""
    if config.data.latents:
        raise ValueError(f"this mode is about pixels, and the network makes latents (config.data.latents): {reason}")


def class_numbers(
    config: ConfigDict,
    settings: ConfigDict,
    classes: tuple[int, tuple[str, ...]],
    conditions: SampleConditions,
    source: Source,
    index: np.ndarray,
) -> np.ndarray:
    """The classes (n,) int32 that the network is given for images: those that config.sampling.labels lists, in turn,
    else the images' own; arguments and errors as of `own_classes`."""
    if config.sampling.labels:
        return conditions.labels(index)
    return own_classes(settings, classes, source, index)


def own_classes(
    settings: ConfigDict,
    classes: tuple[int, tuple[str, ...]],
    source: Source,
    index: np.ndarray,
    advice: str = "name them by config.sampling.labels",
) -> np.ndarray:
    """The classes (n,) int32 of the images number `index` (n,) of the source; zeros where there are none.

    classes: their number and names, see Guided.classes. ValueError, which ends in `advice`, for images that are not of
    the data.
    """
    number, names = classes
    if not number:
        return np.zeros(len(index), np.int32)
    if settings.images:
        raise ValueError(f"this network needs the classes of the images: {advice}")
    of_network = labelled(source, source.split, number, names)
    return np.array([of_network[int(i)]["label"] for i in index], np.int32)


def about(provenance: dict[str, Any], config: ConfigDict, mode: str, source: Source, total: int) -> dict[str, Any]:
    """What was done to `total` images of a source by a mode, for its report. provenance: what made the results."""
    return provenance | {
        "n": total,
        "images": [source.name, source.split, source.fingerprint()],
        mode: config[mode].to_dict(),
        "sampling": config.sampling.to_dict(),
    }
