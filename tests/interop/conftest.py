"""Configs of the golden networks, and a writer of torch.save's zip format that needs no torch."""

import ast
import importlib
import json
import lzma
import re
import struct
import zipfile

import jax
import numpy as np
import pytest
from flax import traverse_util

from configs.default import get_config
from files import torch_legacy
from models import create_model

JAX_CASES = {"net_cld_accr": "cld", "net_ddpmpp_vp": "vp", "net_ncsnpp_ve": "ve"}
TORCH_CASES = {"ssde_ddpmpp": "vp", "ssde_ncsnpp": "ve"}


class Global:
    """A name that a pickle refers to, and the arguments it is called with; `state` is set on the result."""

    def __init__(self, module, name, args=None, state=None):
        self.module, self.name, self.args, self.state = module, name, args, state


class Persistent(tuple):
    """A persistent id."""


def pickled(value):
    """`value` in protocol 2, opcode by opcode, so that any name can be referred to without importing it."""
    return b"\x80\x02" + _encoded(value) + b"."


def _encoded(value):
    if isinstance(value, Global):
        code = f"c{value.module}\n{value.name}\n".encode()
        code += b"" if value.args is None else _encoded(value.args) + b"R"
        return code + (b"" if value.state is None else _encoded(value.state) + b"b")
    if isinstance(value, Persistent):
        return _encoded(tuple(value)) + b"Q"
    if isinstance(value, dict):
        return b"}(" + b"".join(_encoded(part) for item in value.items() for part in item) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_encoded, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_encoded, value)) + b"t"
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    simple = {None: b"N", True: b"\x88", False: b"\x89"}
    if value is None or isinstance(value, bool):
        return simple[value]
    if isinstance(value, int):
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
    return b"G" + struct.pack(">d", value)


class TorchZip:
    """Collects tensors and writes them with a description, as torch.save does."""

    more = ()  # what else a reference to a storage says

    def __init__(self):
        self.storages = {}

    def tensor(self, array, parameter=False):
        """The description of a float32 tensor whose numbers are `array`."""
        array = np.ascontiguousarray(array, np.float32)
        key = str(len(self.storages))
        self.storages[key] = array.tobytes()
        stride = tuple(step // 4 for step in array.strides)
        return self.view(key, array.size, 0, array.shape, stride, parameter)

    def view(self, key, n, offset, shape, stride, parameter=False):
        """The description of a tensor in storage `key` of n numbers."""
        storage = Persistent(("storage", Global("torch", "FloatStorage"), key, "cpu", n, *self.more))
        args = (storage, offset, tuple(shape), tuple(stride), False, Global("collections", "OrderedDict", ()))
        made = Global("torch._utils", "_rebuild_tensor_v2", args)
        hooks = Global("collections", "OrderedDict", ())
        return Global("torch._utils", "_rebuild_parameter", (made, True, hooks)) if parameter else made

    def write(self, path, content, compression=zipfile.ZIP_STORED, byteorder=b"little"):
        """Writes the file and returns its path."""
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", content if isinstance(content, bytes) else pickled(content))
            archive.writestr("archive/byteorder", byteorder)
            for key, data in self.storages.items():
                archive.writestr(f"archive/data/{key}", data)
        return path


class TorchChain(TorchZip):
    """The same in the format before torch 1.6."""

    more = (None,)

    def write(self, path, content, little_endian=True):
        """Writes the file and returns its path."""
        head = [torch_legacy.MAGIC, pickled(1001), pickled({"protocol_version": 1001, "little_endian": little_endian})]
        parts = [*head, content if isinstance(content, bytes) else pickled(content), pickled(list(self.storages))]
        for data in self.storages.values():
            parts += [struct.pack("<q", len(data) // 4), data]
        path.write_bytes(b"".join(parts))
        return path


@pytest.fixture
def config():
    """Of the smallest network that the formats of score_sde hold."""
    config = get_config("vp", "ncsnpp")
    config.model.update(nf=8, ch_mult=(1,), num_res_blocks=1, attn_resolutions=())
    config.data.image_size = 8
    return config


@pytest.fixture
def torch_zip():
    """A new TorchZip."""
    return TorchZip()


@pytest.fixture
def torch_chain():
    """A new TorchChain."""
    return TorchChain()


def published_config(model, data, process):
    """Our config of a network that a manifest describes by score_sde's keys."""
    config = get_config(process, model["name"])
    for key in config.model:
        if key in model:
            value = model[key]
            config.model[key] = tuple(value) if isinstance(value, list) else config.model.get_type(key)(value)
    config.data.update(image_size=data["image_size"], centered=data["centered"])
    return config


@pytest.fixture
def golden_jax(golden):
    """golden_jax(case) -> (checkpoint path, config, arrays)."""

    def load(case):
        arrays = golden(f"jax/{case}.npz")
        described = json.loads(str(arrays["config_json"]))
        config = published_config(described["model"], described["data"], JAX_CASES[case])
        return golden.path(f"jax/{case}_ckpt/checkpoint_7"), config, arrays

    return load


@pytest.fixture
def golden_torch(golden, tmp_path):
    """golden_torch(case) -> (decompressed checkpoint path, config, arrays)."""

    def load(case):
        section = golden.path("torch/MANIFEST.md").read_text().split(f"## {case}\n")[1]
        model = json.loads(re.search(r"model config: `(.*?)`", section).group(1))
        data = {"image_size": 16, "centered": "centered True" in section.split("\n## ")[0]}
        path = tmp_path / "checkpoint_1.pth"
        path.write_bytes(lzma.decompress(golden.path(f"torch/{case}/checkpoint_1.pth.xz").read_bytes()))
        return path, published_config(model, data, TORCH_CASES[case]), golden(f"torch/{case}/io.npz")

    return load


def random_params(config, channels=3, seed=0):
    """Parameters of the network of `config`, every entry random, in the order in which the network makes them."""
    module, rng, names = create_model(config), np.random.default_rng(seed), []

    def init(u, t):
        tree = module.init(jax.random.key(0), u, t)["params"]
        names.extend(traverse_util.flatten_dict(tree, sep="/"))
        return tree

    size = config.data.image_size
    u = jax.ShapeDtypeStruct((1, size, size, channels), np.float32)
    tree = jax.eval_shape(init, u, jax.ShapeDtypeStruct((1,), np.float32))
    shapes = traverse_util.flatten_dict(tree, sep="/")
    return {name: 0.2 * rng.standard_normal(shapes[name].shape).astype(np.float32) for name in names}


@pytest.fixture
def config_of():
    """config_of("configs/ve/digits.py --config.model.nf=8"): the config that a file and flags mean."""

    def load(command):
        file, *flags = command.split()
        config = importlib.import_module(file.removesuffix(".py").replace("/", ".")).get_config()
        for key, value in (flag.removeprefix("--config.").split("=") for flag in flags):
            config.update_from_flattened_dict({key: ast.literal_eval(value)})
        return config

    return load


@pytest.fixture
def params_of():
    """random_params: {name: array} for a config, in the order of calls."""
    return random_params


@pytest.fixture
def encode():
    """(pickled, Global): the parts from which a hostile pickle is made."""
    return pickled, Global
