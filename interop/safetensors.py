"""The safetensors container: u64 length of the header, JSON header, raw little-endian data.

    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {text: text}}

Offsets count from the end of the header. A file is accepted only if its tensors tile the data exactly, so what is
read can never exceed what is there. Described in the documentation of https://github.com/huggingface/safetensors.
"""

import json
import math
import mmap
import os
from pathlib import Path

import numpy as np

from linnet.files.atomic import atomic_write
from linnet.files.refused import Refused, first_bytes

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
MAX_HEADER = 1 << 26


def recognises(path: Path) -> bool:
    """Whether the file begins like this container."""
    start = first_bytes(path, 9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < os.path.getsize(path)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays by name, metadata). bfloat16 arrives as float32. Refused for anything malformed."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        available = os.path.getsize(path) - 8 - length
        if length > MAX_HEADER or available < 0:
            raise Refused(f"{path}: its header claims {length} bytes; the file is cut short or not safetensors")
        header = _parse(path, file.read(length))
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    metadata = header.pop("__metadata__", {})
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype = entry["dtype"]
        shape = tuple(entry["shape"])
        (begin, stop) = entry["data_offsets"]
        size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        if begin != end or stop - begin != size or stop > available:
            raise Refused(
                f"{path}: {name} of shape {shape} lies at bytes {begin} to {stop} of {available}; the file is "
                "damaged or cut short"
            )
        array = np.frombuffer(data, DTYPES[dtype], math.prod(shape), offset=8 + length + begin).reshape(shape)
        arrays[name] = (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array
        end = stop
    if end != available:
        raise Refused(f"{path}: {available - end} bytes belong to no tensor; the file is damaged")
    return arrays, metadata


def _parse(path, text):
    """The header as a dict whose entries are known to be well formed."""
    try:
        header = json.loads(text, object_pairs_hook=_unique)
        for name, entry in header.items():
            if name != "__metadata__":
                numbers = [*entry["shape"], *entry["data_offsets"]]
                if entry["dtype"] not in DTYPES or len(entry["data_offsets"]) != 2:
                    raise ValueError(f"{name} is {entry}")
                if len(numbers) > 10 or not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
                    raise ValueError(f"{name} is {entry}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{path}: unreadable safetensors header ({str(error)[:200]})") from error
    return header


def _unique(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes float32 `arrays`; the file appears whole or not at all."""
    header: dict[str, dict] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end := end + 4 * array.size]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())
