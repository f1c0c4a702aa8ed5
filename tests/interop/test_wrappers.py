"""What training programs wrap around parameters, for every kind of names: prefixes, dictionaries, averages."""

import lzma
import re
from pathlib import Path

import msgpack
import numpy as np
import pytest
from flax import traverse_util

import interop
from configs.default import get_config
from files import torch_files
from files.refused import Refused
from interop import safetensors, state_dicts
from tests.interop.conftest import random_params
from tests.interop.edm_files import exported
from tests.interop.test_edm import config_of as edm_config
from tests.interop.test_names import config_of, flat_list
from tests.interop.test_score_sde import state_of
from tests.interop.test_unet import config as unet_config


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


WRAPPERS = {
    "DataParallel": lambda raw, ema: prefixed("module.", raw),
    "torch.compile": lambda raw, ema: prefixed("_orig_mod.module.", raw),
    "training state": lambda raw, ema: {"model": raw, "ema": prefixed("module.", ema), "step": 7, "args": None},
    "Lightning": lambda raw, ema: {
        "state_dict": prefixed("model.", raw) | prefixed("model_ema.module.", ema),
        "epoch": 1,
        "hyper_parameters": {"lr": 1e-4, "betas": (0.9, 0.999)},
    },
    "ema_pytorch": lambda raw, ema: {
        "model": raw,
        "ema": prefixed("online_model.", raw) | prefixed("ema_model.", ema) | {"initted": True},
    },
    "named shadow": lambda raw, ema: {"net": raw, "ema_helper": {"shadow": ema}, "optimizer": {"state": {0: {}}}},
    "listed averages": lambda raw, ema: {
        "model": prefixed("module.", raw),
        "ema": {"decay": 0.999, "num_updates": 3, "shadow_params": list(ema.values()), "collected_params": []},
    },
}
KINDS = {"DataParallel": ("unknown", "unknown"), "torch.compile": ("unknown", "unknown")}


@pytest.fixture(params=["all_modules", "input_blocks", "enc"])
def network(request, golden):
    """(config, parameters by the names of one project)."""
    if request.param == "all_modules":
        config = config_of({})
        return config, flat_list(random_params(config))
    if request.param == "enc":
        config = edm_config("vp")
        state = exported(random_params(config), config)
        return config, {name: array for name, array in state.items() if "resample_filter" not in name}
    source = golden.path("torch/idm_unet_a/ema_0.9999_000100.pt.xz")
    path = request.getfixturevalue("tmp_path") / "golden.pt"
    path.write_bytes(lzma.decompress(source.read_bytes()))
    return unet_config(), {name: tensor.array() for name, tensor in torch_files.read(path).items()}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_is_wrapped_is_read(network, wrapper, torch_zip, tmp_path):
    """Both sets give what their names give by themselves."""
    config, state = network
    alone, wanted = type(torch_zip)(), {}
    for params, factor in (("raw", 1), ("ema", -1)):
        tensors = {name: alone.tensor(factor * array) for name, array in state.items()}
        wanted[params] = interop.load(alone.write(tmp_path / f"{params}.pt", tensors), config, params)
    sets = ({name: torch_zip.tensor(factor * array) for name, array in state.items()} for factor in (1, -1))
    path = torch_zip.write(tmp_path / "wrapped.ckpt", WRAPPERS[wrapper](*sets))
    for params, kind in zip(("raw", "ema"), KINDS.get(wrapper, ("raw", "ema")), strict=True):
        found, said = interop.load_with_kind(path, config, params)
        edm = kind == "unknown" and "EDM" in interop.detect(path)  # published files of EDM hold averages only
        assert said == ("ema" if edm else kind)
        expected = traverse_util.flatten_dict(wanted["raw" if kind == "unknown" else params], sep="/")
        for name, array in traverse_util.flatten_dict(found, sep="/").items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("container", ["x.npz", "x.safetensors"])
def test_other_containers(network, container, torch_zip, tmp_path):
    config, state = network
    path = tmp_path / container
    arrays = {f"_orig_mod.{name}": np.ascontiguousarray(array) for name, array in state.items()}
    if container == "x.npz":
        np.savez(path, **arrays)
    else:
        safetensors.write(path, arrays, {})
    tensors = {name: torch_zip.tensor(array) for name, array in state.items()}
    expected = interop.load(torch_zip.write(tmp_path / "x.pt", tensors), config)
    np.testing.assert_equal(interop.load(path, config), expected)


@pytest.mark.parametrize(
    ("module", "name", "args", "state"),
    [
        ("argparse", "Namespace", (), {"lr": 1e-4}),
        ("pathlib", "PosixPath", ("runs", "a"), None),
        ("omegaconf.dictconfig", "DictConfig", (), {"_content": {}}),
        ("pytorch_lightning.utilities.parsing", "AttributeDict", (), None),
    ],
)
def test_settings_beside_the_parameters_are_passed_over(torch_zip, tmp_path, encode, module, name, args, state):
    _, call = encode
    config = config_of({})
    tensors = {name: torch_zip.tensor(array) for name, array in flat_list(random_params(config)).items()}
    content = {"model": tensors, "args": call(module, name, args, state), "step": 3}
    path = torch_zip.write(tmp_path / "x.pt", content)
    expected = interop.load(torch_zip.write(tmp_path / "y.pt", {"model": tensors}), config, "raw")
    np.testing.assert_equal(interop.load(path, config, "raw"), expected)


def test_two_networks_on_one_level_are_not_told_apart(network, torch_zip, tmp_path):
    config, state = network
    tensors = {name: torch_zip.tensor(array) for name, array in state.items()}
    path = torch_zip.write(tmp_path / "x.pt", {"student": tensors, "teacher": tensors})
    with pytest.raises(Refused, match="holds several networks, student and teacher; save the one that you mean"):
        interop.load(path, config)


@pytest.mark.parametrize("word", ["ema", "emas", "EMA_0.999", "net_ema", "shadow", "swa_state", "averages", "polyak"])
def test_every_word_for_averages_is_one(word):
    """Never the parameters that are trained in their place."""
    raw, ema = ({"net.conv_in.weight": np.full(2, value)} for value in (1, 2))
    content = {"model": raw, word: ema}
    for params, value in (("raw", 1), ("ema", 2)):
        found = state_dicts.find(Path("x.pt"), content, re.compile(r"conv_in\.weight$"), params)
        assert found.kind == params and found.tensors["conv_in.weight"].tolist() == [value] * 2


def test_trees_of_flax_at_other_places(config, tmp_path):
    """`params` beside an optimiser's moments, and averages one level down, as later versions of Flax keep them."""
    averages, raw = random_params(config, seed=1), random_params(config, seed=2)
    state = state_of(averages, raw)
    moments = {"mu": state["params_ema"], "nu": state["params_ema"]}
    content = {"params": state["optimizer"]["target"], "opt_state": {"0": moments}}
    path = tmp_path / "checkpoint_7"
    for more in ({"ema_params": {"params": state["params_ema"]}}, {"params_ema": state["params_ema"]}):
        path.write_bytes(msgpack.packb(content | more))
        for params, leaves in (("ema", averages), ("raw", raw)):
            tree = traverse_util.flatten_dict(interop.load(path, config, params), sep="/")
            for name, array in tree.items():
                np.testing.assert_array_equal(array, leaves[name], err_msg=name)
    path.write_bytes(msgpack.packb(content))
    with pytest.raises(Refused, match=r"it holds params, opt_state \(--config.eval.params=raw reads that\)"):
        interop.load(path, config)


def test_more_names_than_a_file_can_mean(torch_zip, tmp_path, config, encode):
    """One list inside itself many times: a small pickle with endless names."""
    pickled, _ = encode
    inner = b"]" + b"q\x01" + b"(" + b"h\x01" * 50 + b"e"
    path = torch_zip.write(tmp_path / "x.pt", b"\x80\x02}(X\x01\x00\x00\x00a" + inner + b"u.")
    assert pickled({}) == b"\x80\x02}(u."
    with pytest.raises(Refused, match="built to exhaust memory"):
        interop.load(path, get_config("vp", "ncsnpp"))
