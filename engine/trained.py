"""The parameters of a checkpoint, with what tells them from others."""

import dataclasses
import functools
import os

from flax import traverse_util

from linnet import interop
from linnet.evaluation.features import parameter_hash


@dataclasses.dataclass(frozen=True)
class Trained:
    """params: the tree for module.apply, of the file `path`. kind: "ema", "raw", or "unknown" where it is not said."""

    params: dict
    kind: str
    path: str

    @property
    def name(self):
        """The last part of the path."""
        return os.path.basename(os.path.normpath(self.path))

    @functools.cached_property
    def hash(self):
        """SHA-256 of the parameters: what tells a checkpoint from another that was at the same path."""
        return parameter_hash(traverse_util.flatten_dict(self.params, sep="/"))


def load(paths, config, shape, k):
    """The parameters that config.eval.params asks for, of any format that interop reads, for a process of k components.

    ValueError and OSError as interop; where training went on meanwhile and deleted its newest checkpoint, the next one.
    """
    path = paths.checkpoint()
    try:
        params, kind = interop.load_with_kind(path, config, config.eval.params, shape=shape, k=k)
    except (ValueError, OSError):
        if paths.ckpt is not None or os.path.exists(path):
            raise
        return load(paths, config, shape, k)
    return Trained(params, kind, path)
