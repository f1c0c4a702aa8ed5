"""Checkpoints of score_sde, gDDIM and score_flow: one msgpack map written by flax.training.checkpoints.

    {step, lr, ema_rate, rng, model_state, params_ema: tree, optimizer: {target: tree, state: Adam's moments}}

A leaf is extension type 1 (an array) or 3 (a scalar): msgpack of (shape, dtype name, bytes). Nothing in the format
can name code. Sizes are checked by the msgpack reader against limits given here, so a file cannot claim more than it
holds. GroupNorm's scale and bias have shape (1, 1, 1, C) there and (C,) here; all names agree with ours. Trees at other
places than these two are found as `state_dicts` says.
"""

import math
import mmap
import re
from pathlib import Path

import ml_dtypes
import msgpack
import numpy as np
from ml_collections import ConfigDict

from linnet.files.refused import Refused, first_bytes
from linnet.interop import known, state_dicts
from linnet.interop.published import Loaded

DTYPES = {name: np.dtype(name) for name in ("float16", "float32", "float64", "int32", "int64", "uint32", "uint8")}
DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
MAX_NAMES = 1 << 16  # entries of one map
WHERE = {"ema": "params_ema", "raw": "optimizer/target"}
ANCHOR = re.compile(r"(?<![^.])[A-Z][A-Za-z0-9]*_\d+(\.|$)")  # the first layer on the way to a parameter


def recognises(path: Path) -> bool:
    """Whether the file is a msgpack map whose first key is a short text."""
    start = first_bytes(path, 6)
    after = {0xDE: 3, 0xDF: 5}.get(start[0], 1) if start else 0
    is_map = len(start) == 6 and (0x81 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF))
    return is_map and 0xA1 <= start[after] <= 0xBF


def read(path: Path, config: ConfigDict, params: str) -> Loaded:
    """The averaged ("ema") or raw parameters."""
    state = _unpack(path)
    found = state_dicts.find(path, state, ANCHOR, params)
    if found is None or found.kind not in (params, "unknown"):
        raise Refused(
            f"{path}: msgpack without {WHERE[params]}, so no training state of score_sde, gDDIM or score_flow; "
            f"it holds {', '.join(map(str, state))[:200]}{' (--config.eval.params=raw reads that)' if found else ''}"
        )
    leaves = dict(_leaf(path, name.replace(".", "/"), value) for name, value in found.tensors.items())
    return Loaded(leaves, known.stated(leaves, config), kind=found.kind)


def _unpack(path):
    """The map in the file. Refused for anything malformed."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            state = msgpack.unpackb(
                data,
                ext_hook=_extension,
                max_array_len=1 << 10,
                max_map_len=MAX_NAMES,
                max_str_len=1 << 16,
                max_bin_len=len(data),
                max_ext_len=len(data),
            )
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Refused(f"{path}: damaged, cut short, or not msgpack ({str(error)[:200]})") from error
    if not isinstance(state, dict):
        raise Refused(f"{path}: msgpack, but not a map of names")
    return state


def _extension(code, data):
    """The array of extension types 1 and 3."""
    if code not in (1, 3):
        raise ValueError(f"extension type {code} is none of flax's array types")
    shape, dtype, buffer = msgpack.unpackb(data, raw=True, max_array_len=32)
    if dtype.decode() not in DTYPES:
        raise ValueError(f"array of dtype {dtype.decode()!r}")
    array = np.frombuffer(buffer, DTYPES[dtype.decode()])
    if math.prod(shape) != array.size:
        raise ValueError(f"array of shape {shape} with {array.size} entries")
    return array.reshape(shape)


def _leaf(path, name, value):
    """(name, array) of a leaf, GroupNorm's without its leading axes."""
    if not isinstance(value, np.ndarray):
        raise Refused(f"{path}: {name} is a {type(value).__name__}, not an array")
    lifted = "GroupNorm" in name and value.shape[:-1] == (1, 1, 1)
    return name, value.reshape(-1) if lifted else value
