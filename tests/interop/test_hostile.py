"""Files built to exhaust memory, to confuse the zip reader or to write to the terminal: one printable line each."""

import io
import json
import os
import zipfile

import msgpack
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import traverse_util

import interop
from files.refused import Refused


def refusal(path, config):
    """The message of the refusal of `path`."""
    with pytest.raises(Refused) as caught:
        interop.load(path, config, "raw")
    message = str(caught.value)
    assert message.isprintable() and message.startswith(str(path))
    return message


@pytest.mark.parametrize("put", [b"r" + (100_000_000).to_bytes(4, "little"), b"p60000000\n"])
def test_pickles_cannot_number_more_parts_than_they_have_bytes(torch_zip, tmp_path, config, put):
    """The unpickler would make a list of that length: 1.6 GB and 1 GB."""
    path = torch_zip.write(tmp_path / "x.pth", b"\x80\x02}" + put + b".")
    assert "built to exhaust memory" in refusal(path, config)
    assert "holds" in refusal(torch_zip.write(path, b"\x80\x02}p3\n."), config)  # an empty dict is no network


CENTRAL, NAME, FLAGS, VERSION = b"PK\x01\x02", 46, 8, 6


def damaged(path, offset, value):
    """Writes `value` at `offset` of the first entry in the table of contents of a zip archive."""
    data = bytearray(path.read_bytes())
    start = data.index(CENTRAL) + offset
    data[start : start + len(value)] = value
    if offset == NAME:
        data[data.index(CENTRAL) + FLAGS + 1] |= 8  # names are said to be UTF-8
    path.write_bytes(data)
    return path


DAMAGE = {
    "name that is no UTF-8": (NAME, b"\xff\xfe"),
    "another name than before the data": (NAME, b"b"),
    "encrypted": (FLAGS, b"\x01"),
    "patched data": (FLAGS, b"\x20"),
    "unknown version": (VERSION, b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_archives(torch_zip, tmp_path, config, damage):
    content = {"model": {"all_modules.0.weight": torch_zip.tensor(np.zeros(3))}}
    assert "damaged" in refusal(damaged(torch_zip.write(tmp_path / "x.pth", content), *DAMAGE[damage]), config)
    np.savez(tmp_path / "x.npz", **{"enc.8x8_conv.weight": np.zeros(3), "enc.8x8_conv.bias": np.zeros(3)})
    assert "damaged" in refusal(damaged(tmp_path / "x.npz", *DAMAGE[damage]), config)


def test_arrays_that_claim_more_than_they_hold(tmp_path, config):
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("enc.8x8_conv.weight.npy", array.getvalue().replace(b"(3,), }", b"(9,), }"))
    assert "not only arrays" in refusal(tmp_path / "x.npz", config)


DIFFUSERS = {
    "_class_name": "UNet2DModel",
    "block_out_channels": [32],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (DIFFUSERS | {"block_out_channels": None}, "block_out_channels=None"),
        (DIFFUSERS | {"layers_per_block": "two"}, "layers_per_block='two'"),
        (DIFFUSERS | {"layers_per_block": 10**9}, "layers_per_block=1000000000"),
        (DIFFUSERS | {"block_out_channels": []}, "block_out_channels=[]"),
        (DIFFUSERS | {"block_out_channels": [32, True]}, "block_out_channels=[32, True]"),
        (DIFFUSERS | {"up_block_types": None}, "up_block_types=None does not name the 1 levels"),
        (DIFFUSERS | {"down_block_types": [1]}, "down_block_types=[1] does not name the 1 levels"),
        (DIFFUSERS | {"norm_eps": "small"}, "norm_eps='small' is no number"),
        (DIFFUSERS | {"attention_head_dim": 0}, "attention_head_dim=0 is no positive number"),
        (DIFFUSERS | {"time_embedding_type": []}, "time_embedding_type=[] is not supported"),
        (DIFFUSERS | {"resnet_time_scale_shift": [1]}, "resnet_time_scale_shift=[1] is not supported"),
        ({"format": "linnet", "config": {}}, "version None"),
        ({"format": "linnet", "config": {}, "version": "1"}, "version '1'"),
        ({"format": "linnet", "config": {}, "version": 2}, "version 2"),
        ({"format": "linnet", "config": [], "version": 1}, "no groups sde, model and data"),
        ({"format": "linnet", "config": {"sde": 1, "model": {}, "data": {}}, "version": 1}, "no groups"),
        ({"format": "linnet", "config": {"sde": {}, "model": {}, "data": {}}, "version": 1}, "no groups"),
    ],
)
def test_descriptions_that_describe_nothing(tmp_path, config, description, message):
    for name in ("model.safetensors", "diffusion_pytorch_model.safetensors"):
        interop.safetensors.write(tmp_path / name, {}, {})
    (tmp_path / "config.json").write_text(json.dumps(description))
    assert message in refusal(tmp_path, config)


def test_nested_descriptions(tmp_path, config):
    (tmp_path / "config.json").write_text('{"format": ' + "[" * 100_000)
    assert "a folder without a checkpoint" in refusal(tmp_path, config)


def leaf(*parts):
    return msgpack.ExtType(1, msgpack.packb(parts))


@pytest.mark.parametrize(
    "array", [leaf((2,), 7, bytes(8)), leaf((1 << 63, 0), "float32", b""), leaf("ab", "int32", b"")]
)
def test_arrays_of_no_dtype_or_shape(tmp_path, config, array):
    (tmp_path / "checkpoint_7").write_bytes(msgpack.packb({"optimizer": {"target": {"Conv_0": array}}}))
    assert "damaged, cut short, or not msgpack" in refusal(tmp_path / "checkpoint_7", config)


@pytest.mark.parametrize(("tree", "names"), [({"a": np.zeros(2)}, "params"), ({"params": np.zeros(2)}, "ema/0")])
def test_checkpoints_of_other_programs(tmp_path, config, tree, names):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "5" / "state", tree)
    with pytest.raises(Refused, match=f"5: an Orbax checkpoint without {names}"):
        interop.load(tmp_path, config, "ema" if names.startswith("ema") else "raw")


ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"


def test_names_do_not_reach_the_terminal(torch_zip, tmp_path, config, encode, params_of):
    _, call = encode
    pickle = {"model": call("os", f"system{ESCAPES[:11]}", ())}
    assert "os.system\\x1b]0;title" in refusal(torch_zip.write(tmp_path / "a.pth", pickle), config)
    strange = {"model": {"all_modules.0": ESCAPES}}
    assert "all_modules.0 is a str" in refusal(torch_zip.write(tmp_path / "b.pth", strange), config)
    (tmp_path / "c").write_bytes(msgpack.packb({f"params{ESCAPES}": {}}))
    assert "it holds params\\x1b]0;title" in refusal(tmp_path / "c", config)
    tree = traverse_util.unflatten_dict(params_of(config) | {ESCAPES: np.zeros(2)}, sep="/")
    with pytest.raises(ValueError) as caught:
        interop.load(interop.export(tree, config, tmp_path / "d"), config)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    assert "unexpected in the file: \\x1b]0;title" in str(caught.value)


def test_an_interrupted_export_leaves_the_earlier_one(tmp_path, config, params_of, monkeypatch):
    tree = traverse_util.unflatten_dict(params_of(config), sep="/")
    folder = interop.export(tree, config, tmp_path)
    before = (folder / "config.json").read_bytes()
    config.seed = 7
    finish = os.replace

    def interrupted(source, target):
        if os.path.basename(target) == "config.json":
            raise KeyboardInterrupt
        finish(source, target)

    monkeypatch.setattr("files.atomic.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interop.export(tree, config, tmp_path)
    assert (folder / "config.json").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
