"""What the pickles of torch.save may make: containers, tensors and numbers, under an allow-list.

Tensors refer to storages by persistent ids, ("storage", type, key, place, n, ...); their bytes lie outside the pickle.
Unpickling can call only what `find_class` returns, and it returns nothing but the constructors in ALLOWED, each written
here and free of side effects: containers, tensor descriptions and NumPy numbers; and an empty object for settings. Any
other name is refused with that name, before anything is called. A tensor cannot have more elements than its storage,
and the pickle cannot number more of its parts than it has bytes.
"""

import contextlib
import io
import math
import pickle
import pickletools
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from linnet.files.refused import Refused

DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
MAX_PICKLE = 1 << 26


class Sealed:
    """Something that a pickle can make but not change: pickles may otherwise set any attribute of any object."""

    def __setstate__(self, state):
        raise Refused("instructions that alter a finished object; nothing in it was run")


class Dict(dict):
    """An OrderedDict, without the attributes that a pickle may set on one."""

    def __setstate__(self, state):
        """Ignores the state (torch keeps version numbers of layers in it)."""


class Dtype(Sealed):
    """A numpy.dtype of a scalar, without numpy's own unpickling."""

    def __new__(cls, name, *_):
        if name not in ("f8", "f4", "f2", "i8", "i4", "u8", "u4", "b1"):
            raise Refused(f"a NumPy scalar of dtype {name!r}")
        self = super().__new__(cls)
        self.name = name
        return self

    def __setstate__(self, state):
        """Checks the byte order."""
        if state[1] not in ("<", "|", "="):
            raise Refused(f"a NumPy scalar of byte order {state[1]!r}")


class Scalar(Sealed):
    """A NumPy scalar, as a Python number."""

    def __new__(cls, dtype, data):
        return np.frombuffer(data, dtype.name, 1)[0].item()


class Latin1(Sealed):
    """Bytes that protocol 2 writes as a text."""

    def __new__(cls, text, encoding):
        if encoding != "latin1":
            raise Refused(f"a text in {encoding!r}")
        return text.encode("latin1")


class Storage(Sealed):
    """The bytes of one storage, read from the container when they are first needed."""

    def __init__(self, container, key, kind, n):
        if kind not in DTYPES:
            raise Refused(f"a storage of type {kind}")
        self.container = container
        self.key = key
        self.kind = kind
        self.n = n
        self._array = None

    def array(self) -> np.ndarray:
        """All elements, in one axis; bfloat16 as float32."""
        if self._array is None:
            dtype = np.dtype(DTYPES[self.kind])
            data = self.container.read(self.key)
            if len(data) != self.n * dtype.itemsize:
                raise Refused(f"{self.container.path}: {len(data)} bytes in {self.key} for {self.n} of {dtype}")
            array = np.frombuffer(data, dtype)
            bfloat16 = self.kind == "BFloat16Storage"
            self._array = (array.astype(np.uint32) << 16).view(np.float32) if bfloat16 else array
        return self._array


class Tensor(Sealed):
    """A view of a storage: `shape`, and `array()` for the numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __new__(cls, storage, offset, shape, stride, *_):
        if not isinstance(storage, Storage) or len(shape) != len(stride) or len(shape) > 8:
            raise Refused(f"a tensor of shape {reprlib.repr(shape)} and stride {reprlib.repr(stride)}")
        if not all(type(i) is int and i >= 0 for i in (offset, *shape, *stride)):
            raise Refused(f"a tensor of shape {reprlib.repr(shape)} and stride {reprlib.repr(stride)}")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if math.prod(shape) > storage.n or (math.prod(shape) and last >= storage.n):
            raise Refused(f"a tensor of shape {shape} in a storage of {storage.n} numbers")
        self = super().__new__(cls)
        self.storage = storage
        self.offset = offset
        self.shape = tuple(shape)
        self.stride = tuple(stride)
        return self

    def array(self) -> np.ndarray:
        """The numbers, a read-only view."""
        flat = self.storage.array()[self.offset :]
        strides = [step * flat.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(flat, self.shape, strides, writeable=False)


class Parameter(Sealed):
    """The tensor of a torch.nn.Parameter."""

    def __new__(cls, tensor, *_):
        return tensor


class Settings:
    """What a program saved about itself beside its parameters: nothing of it is made or kept."""

    def __new__(cls, *_):
        return super().__new__(cls)

    def __setstate__(self, state):
        """Ignores the state."""

    def __setitem__(self, key, value):
        """Ignores the entry."""

    def extend(self, items: Any) -> None:
        """Ignores the items."""


SETTINGS = ("argparse", "pathlib", "omegaconf", "ml_collections", "lightning", "lightning_fabric", "pytorch_lightning")
"""Packages of which any type is read as `Settings`."""

ALLOWED = {
    ("collections", "OrderedDict"): Dict,
    ("torch._utils", "_rebuild_tensor"): Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch._utils", "_rebuild_parameter"): Parameter,
    ("torch", "Size"): tuple,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "scalar"): Scalar,
    ("numpy._core.multiarray", "scalar"): Scalar,
    ("_codecs", "encode"): Latin1,
}


class Unpickler(pickle.Unpickler):
    """Reads one pickle; see the module's docstring.

    container: the file, with `path` and read(name) -> bytes. name: of a storage in it, from its key.
    """

    def __init__(self, data, container, name=str):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.container = container
        self.name = name
        self.storages = {}

    def find_class(self, module: str, name: str) -> Any:
        """The allowed constructor of that name, or Refused."""
        if module == "torch" and name in DTYPES:
            return name
        if module.split(".")[0] in SETTINGS:
            return Settings
        if (module, name) not in ALLOWED:
            raise Refused(f"an object of type {module}.{name}, which no parameters need; nothing in it was run")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The storage of a persistent id."""
        tag, kind, key, _, n, *view = pid
        if tag != "storage" or not isinstance(key, str) or type(n) is not int or n < 0 or view not in ([], [None]):
            raise Refused(f"a reference to {reprlib.repr(pid)}")
        if key not in self.storages:
            self.storages[key] = Storage(self.container, self.name(key), kind, n)
        return self.storages[key]


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Whatever reading a pickle raises, as one Refused that names the file."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{path}: holds {error}") from error
    except Exception as error:  # a damaged pickle can make any of the constructors above fail in any way
        raise Refused(f"{path}: damaged ({type(error).__name__}: {str(error)[:200]})") from error


def check_size(path: Path, n: int) -> None:
    """Refused where a pickle of n bytes describes more than parameters."""
    if n > MAX_PICKLE:
        raise Refused(f"{path}: a description of absurd size, {n} bytes")


def check_memo(data: bytes) -> None:
    """Refused where a part is numbered beyond the length of the pickle: a list of that length would be made for it."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "LONG_BINPUT") and argument is not None and argument > len(data):
            raise Refused(f"a part numbered {argument} in {len(data)} bytes; it is built to exhaust memory")
