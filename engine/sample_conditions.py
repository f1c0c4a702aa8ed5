"""What a conditional network is given for each image that is sampled: its class and its low-resolution image.

Low-resolution images come from config.data.low_res_path, or are block means of the images of config.eval.image_split;
sample i is made from image i, over again from the first where there are more samples. An .npz is read as ADM writes
samples (arr_0 and, with classes, arr_1), so that the samples of one network are what the next one enlarges.
Classes are those that config.sampling.labels lists, by name or number, "dog,cat" or "3,5", or "" for all of them, in
turn; for super-resolution "" stands for the classes of the low-resolution images.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from linnet.data import transforms
from linnet.data.folder import folder_source
from linnet.data.source import ArraySource, Source
from linnet.engine.classes import listed, number_of
from linnet.evaluation.images import read_archive
from linnet.training.conditions import block_means


class SampleConditions:
    """conditions(index (B,)) -> {"label" (B,) int32, "low_res" (B, h, w, C) float32}: what the network takes of them.

    Host arrays; index are the numbers of the samples. ValueError for labels that the network does not know or needs
    and for low-resolution images that do not fit.
    classes, names: number of classes, 0 for none, and their names, () for their numbers. source: see `low_res_source`.
    """

    def __init__(self, config, classes, names, source):
        self.classes = classes
        self.centered = config.data.centered
        self.source = source
        self.shrink = 0 if config.data.low_res_path else config.data.low_res_size
        self.names = names or tuple(map(str, range(self.classes)))
        self.chosen = self._chosen(config.sampling.labels)

    def __call__(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """{} for a network without conditions; host arrays of these numbers (B,)."""
        condition = {"label": self.labels(index)} if self.classes else {}
        if self.source is not None:
            images = np.stack([self.source[int(i % len(self.source))]["image"] for i in index])
            x = np.asarray(transforms.to_model_range(images, centered=self.centered))
            condition["low_res"] = block_means(x, self.shrink) if self.shrink else x
        return condition

    def labels(self, index: np.ndarray) -> np.ndarray:
        """The classes (B,) int32; for a network of classes."""
        if self.chosen is None:
            return np.array([self.source[int(i % len(self.source))]["label"] for i in index], np.int32)
        return self.chosen[index % len(self.chosen)]

    def _chosen(self, text):
        """The classes to take in turn (n,) int32; None for those of the low-resolution images."""
        if not text and self.source is not None and self.classes:
            if self.source.num_classes != self.classes:
                raise ValueError(
                    f"{self.source.name} has {self.source.num_classes} classes and the network {self.classes}: name "
                    "those of the low-resolution images by config.sampling.labels"
                )
            return None
        if text and not self.classes:
            raise ValueError(
                "config.sampling.labels needs a class-conditional network: config.model.num_classes, or a "
                "config.sampling.classifier"
            )
        chosen = [number_of(part, self.names) for part in parts(text, self.names)] if text else range(self.classes)
        wrong = [number is None or not 0 <= number < self.classes for number in chosen]
        if any(wrong):
            raise ValueError(
                f"config.sampling.labels={text!r}: {parts(text, self.names)[wrong.index(True)]!r} is no class; class "
                f"numbers like 3,5 must lie in 0 to {self.classes - 1}, their names are {listed(self.names)}"
            )
        return np.array(chosen, np.int32)

    def names_of(self, index: np.ndarray) -> list[str] | None:
        """The names of the classes (B,) of these images, for pictures; None for a network without classes."""
        return [self.names[number] for number in self.labels(index)] if self.classes else None


def parts(text: str, names: Sequence[str]) -> list[str]:
    """The classes that config.sampling.labels lists: all of it may be one name, with its commas."""
    return [text] if text in names else text.split(",")


def low_res_source(config: ConfigDict, shape: tuple[int, ...], images: Callable[[str], Source]) -> Source | None:
    """The images of config.data.low_res_path at low resolution, or those of config.eval.image_split at full size.

    shape: (H, W, C) of the samples. images: opens a split of the data. None for networks that take no such images.
    """
    data = config.data
    if data.low_res_path and not config.model.get("super_resolution", False):
        raise ValueError("config.data.low_res_path is for networks with config.model.super_resolution=True")
    if not config.model.get("super_resolution", False):
        return None
    if not data.low_res_path:
        return images(config.eval.image_split)
    height, width, channels = shape
    wanted = data.low_res_size, data.low_res_size * width // height, channels
    if not data.low_res_path.endswith(".npz"):
        read = {"path": data.low_res_path, "image_size": wanted[:2], "num_channels": channels}
        return folder_source(ConfigDict(read | {"background": data.background}), "train")
    stored, labels = read_archive(Path(data.low_res_path).expanduser())
    if stored.shape[1:] != wanted:
        raise ValueError(
            f"config.data.low_res_path={data.low_res_path!r} holds images of {stored.shape[1:]}, the network takes "
            f"{wanted} (config.data.low_res_size)"
        )
    if labels is None:
        return ArraySource(data.low_res_path, "train", stored, np.zeros(len(stored)), 0)
    classes = max(config.model.get("num_classes", 0), int(labels.max()) + 1)
    return ArraySource(data.low_res_path, "train", stored, labels, classes)
