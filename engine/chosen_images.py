"""The images that --mode=inpaint, colorize, super_resolution and edit are about, and their classes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data.folder import folder_source
from linnet.data.source import Source
from linnet.engine.classes import labelled

if TYPE_CHECKING:
    from linnet.engine.experiment import Experiment


def chosen_images(experiment: "Experiment", settings: ConfigDict, size: tuple[int, int] | None = None) -> Any:
    """The source of `settings.images`, read as the data are, or without it the images of config.eval.image_split.

    size: (H, W) of pictures of `settings.images`; None: that of the network. ValueError for points.
    """
    shape, data = experiment.shape, experiment.config.data
    if len(shape) != 3:
        raise ValueError("this mode is for images, and config.data.dataset=points has none")
    refuse_latents(experiment)
    if experiment.config.model.get("super_resolution", False):
        raise ValueError(
            "a network with config.model.super_resolution=True is given a low-resolution image: use --mode=sample, or "
            "a network without"
        )
    if not settings.images:
        return experiment.evaluated()
    read = {"path": settings.images, "image_size": size or shape[:2], "num_channels": shape[-1]}
    return folder_source(ConfigDict(read | {"background": data.background, "crop": 0 if size else data.crop}), "train")


def refuse_latents(experiment: "Experiment") -> None:
    """ValueError for a network of latents, in modes that are about pixels."""
    if experiment.latents is not None:
        raise ValueError("this mode is about pixels, and the network makes latents (config.data.latents)")


def class_numbers(experiment: "Experiment", source: Source, rows: dict[str, Any]) -> np.ndarray:
    """The classes (n,) int32 that the network is given for these images; zeros for one without classes.

    Those that config.sampling.labels lists, in turn, else those of the data. ValueError where nothing says.
    """
    if experiment.config.sampling.labels:
        return experiment.conditions.labels(rows["index"])
    return own_classes(experiment, source, rows, "name them by config.sampling.labels")


def own_classes(experiment: "Experiment", source: Source, rows: dict[str, Any], advice: str) -> np.ndarray:
    """The classes (n,) int32 of images of the data; zeros where neither network nor classifier is given one.

    ValueError, which ends in `advice`, for other images.
    """
    number, names = experiment.guided.classes
    if not number:
        return np.zeros(len(rows["index"]), np.int32)
    if source is not experiment.evaluated():
        raise ValueError(f"this network needs the classes of the images: {advice}")
    of_network = labelled(source, source.split, number, names)
    return np.array([of_network[int(i)]["label"] for i in rows["index"]], np.int32)


def describe(experiment: "Experiment", mode: str, source: Source, total: int) -> dict[str, Any]:
    """What was done to `total` images of a source by a mode, for its report."""
    config = experiment.config
    return (
        experiment.provenance()
        | experiment.guided.noted
        | {
            "n": total,
            "images": [source.name, source.split, source.fingerprint()],
            mode: config[mode].to_dict(),
            "sampling": config.sampling.to_dict(),
        }
    )
