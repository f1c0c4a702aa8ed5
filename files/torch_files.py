"""Files that torch.save wrote, read without torch and without running anything in them."""

from pathlib import Path
from typing import Any

import numpy as np

from linnet.files import torch_legacy, torch_zip
from linnet.files.refused import Refused


def recognises(path: Path) -> bool:
    """Whether torch.save wrote the file."""
    return torch_zip.recognises(path) or torch_legacy.recognises(path)


def read(path: Path) -> Any:
    """The object in the file, its tensors with `.shape` and `.array()`."""
    return torch_zip.read(path) if torch_zip.recognises(path) else torch_legacy.read(path)


def arrays(path: Path, tensors: dict) -> dict[str, np.ndarray]:
    """The numbers of the tensors. Refused where one is no tensor, or the file is damaged there."""
    strangers = [name for name, tensor in tensors.items() if not hasattr(tensor, "array")]
    if strangers:
        raise Refused(f"{path}: {strangers[0]} is a {type(tensors[strangers[0]]).__name__}, not a tensor")
    return {name: tensor.array() for name, tensor in tensors.items()}
