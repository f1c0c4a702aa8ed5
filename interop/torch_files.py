"""Files that torch.save wrote: zip archives by our own reader, and the older format through torch itself.

Files from before torch 1.6 are a chain of pickles. They go through torch's weights-only loading, to which exactly the
NumPy scalar types are added that optimisers leave in checkpoints; without torch they are refused.
"""

from pathlib import Path

import numpy as np

from linnet.interop import torch_zip
from linnet.interop.published import Refused, first_bytes

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickled magic number that opens such a file


def recognises(path: Path) -> bool:
    """Whether torch.save wrote the file."""
    return torch_zip.recognises(path) or first_bytes(path, len(LEGACY)) == LEGACY


def read(path: Path):
    """The object in the file, its tensors with `.shape` and `.array()`."""
    return torch_zip.read(path) if torch_zip.recognises(path) else _read_legacy(path)


def arrays(path: Path, tensors: dict) -> dict[str, np.ndarray]:
    """The numbers of the tensors. Refused where one is no tensor, or the file is damaged there."""
    strangers = [name for name, tensor in tensors.items() if not hasattr(tensor, "array")]
    if strangers:
        raise Refused(f"{path}: {strangers[0]} is a {type(tensors[strangers[0]]).__name__}, not a tensor")
    return {name: tensor.array() for name, tensor in tensors.items()}


class _Array:
    """A tensor that torch has read."""

    def __init__(self, tensor):
        self._tensor, self.shape = tensor, tuple(tensor.shape)

    def array(self):
        """The numbers; bfloat16 as float32."""
        tensor = self._tensor.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _read_legacy(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{path}: a file from before torch 1.6 needs torch: pip install torch") from error
    scalar = np.float64(0).__reduce__()[0]
    harmless = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype("f8")), type(np.dtype("i8"))]
    try:
        with torch.serialization.safe_globals(harmless):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports refusals and damage by many types
        text = " ".join(str(error).split())
        raise Refused(f"{path}: refused by torch's weights-only loading ({text[:300]})") from error
    return _wrapped(content, torch.Tensor)


def _wrapped(value, tensor):
    if isinstance(value, tensor):
        return _Array(value)
    if isinstance(value, dict):
        return {key: _wrapped(item, tensor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wrapped(item, tensor) for item in value]
    return value
