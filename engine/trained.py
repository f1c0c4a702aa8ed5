"""The parameters of a checkpoint, with what tells them from others."""

import dataclasses
import functools
import os
from pathlib import Path

from flax import traverse_util
from ml_collections import ConfigDict

from linnet import interop
from linnet.engine.paths import Paths
from linnet.evaluation.features import parameter_hash


@dataclasses.dataclass(frozen=True)
class Trained:
    """params: the tree for module.apply, of the file `path`. kind: "ema", "raw", or "unknown" where it is not said.

    step: the path itself, or where it is a run's, the step that was read.
    """

    params: dict
    kind: str
    path: str
    step: Path | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(os.path.normpath(self.path))

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the parameters: what tells a checkpoint from another that was at the same path."""
        return parameter_hash(traverse_util.flatten_dict(self.params, sep="/"))


def load(
    paths: Paths,
    config: ConfigDict,
    trained_config: ConfigDict,
    shape: tuple[int, ...],
    picture_shape: tuple[int, ...],
) -> Trained:
    """The parameters that config.eval.params asks for, of any format that interop reads.

    trained_config: the config with the network's own process in `sde`. shape: of images, points or latents.
    picture_shape: of images or points.
    Of the checkpoints of a run the newest that is whole, which interop finds. ValueError and OSError as there.
    """
    try:
        found = interop.load_newest(paths.checkpoint(), trained_config, config.eval.params, shape=shape)
    except ValueError as error:
        text = about_latents(paths, config, trained_config, shape, picture_shape) or about_process(str(error), config)
        if text == str(error):
            raise
        raise ValueError(text) from error
    params, kind, step = found
    return Trained(params, kind, paths.ckpt or str(step), step)


def about_latents(
    paths: Paths,
    config: ConfigDict,
    trained_config: ConfigDict,
    shape: tuple[int, ...],
    picture_shape: tuple[int, ...],
) -> str:
    """That a checkpoint is of pictures and config.data.latents is set; "" for another one. Arguments as `load`."""
    if not config.data.latents:
        return ""
    try:
        interop.load_newest(paths.checkpoint(), trained_config, config.eval.params, shape=picture_shape)
    except ValueError:
        return ""
    return (
        f"{paths.checkpoint()} is a network of pictures {tuple(picture_shape)}, and config.data.latents="
        f"{config.data.latents!r} holds latents {tuple(shape)}: leave out config.data.latents and autoencoder"
    )


def about_process(text: str, config: ConfigDict) -> str:
    """What interop says of keys of `sde`, in terms of the group that the network's process has in `config`."""
    if config.network_sde.name:
        return text.replace("config.sde.", "config.network_sde.")
    if "config.sde.name" not in text:
        return text
    first, *rest = text.splitlines()
    hint = f"to make images under {config.sde.name} with it, name its own process by --config.network_sde.name"
    return "\n".join([f"{first}; {hint}", *rest])
