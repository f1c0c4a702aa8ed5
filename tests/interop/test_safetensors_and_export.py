"""Our own files: the safetensors container, exported folders, and checkpoints of training."""

import json
import re

import numpy as np
import pytest
from flax import traverse_util

import interop
from files.refused import Refused
from interop import safetensors


@pytest.fixture
def tree(config, params_of):
    return traverse_util.unflatten_dict(params_of(config), sep="/")


def container(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_what_is_exported_is_loaded(tree, config, tmp_path):
    folder = interop.export(tree, config, tmp_path / "export")
    for path in (folder, folder / "model.safetensors"):
        np.testing.assert_equal(interop.load(path, config), tree)
    assert json.loads((folder / "config.json").read_text())["config"]["model"]["nf"] == 8
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json"}


def test_an_export_is_read_with_numpy_alone(tree, config, tmp_path):
    data = (interop.export(tree, config, tmp_path) / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    for name, where in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = where["data_offsets"]
            array = np.frombuffer(data[8 + length :][begin:end], np.float32).reshape(where["shape"])
            np.testing.assert_array_equal(array, traverse_util.flatten_dict(tree, sep="/")[name])


def test_an_export_of_another_network(tree, config, tmp_path):
    interop.export(tree, config, tmp_path)
    config.model.nf = 16
    with pytest.raises(ValueError, match=r"set --config.model.nf=8 \(the config has 16\)"):
        interop.load(tmp_path, config)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("leaves", [["Dense_0/bias"], ["Dense_0/bias", "Dense_1/kernel", "Conv_0/bias"]])
def test_numbers_that_are_none_are_named(tree, config, tmp_path, value, leaves):
    flat = traverse_util.flatten_dict(tree, sep="/")
    for name in leaves:
        flat[name] = flat[name].copy()
        flat[name].flat[-1] = value
    folder = interop.export(traverse_util.unflatten_dict(flat, sep="/"), config, tmp_path / "export")
    line = f"{sorted(leaves)[0]} holds 1 numbers that are NaN or infinite" + " (and so do 2 other leaves)" * (
        len(leaves) > 1
    )
    with pytest.raises(ValueError, match=re.escape(line)) as caught:
        interop.load(folder, config)
    assert len(str(caught.value).splitlines()) == 1
    assert line in interop.report(folder, config)


def test_bfloat16_and_half(tmp_path):
    values = np.array([1.5, -0.25, 3.0], np.float32)
    bfloat16 = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    header = {"a": entry([3], 0, 6, "BF16"), "b": entry([3], 6, 12, "F16")}
    (tmp_path / "x").write_bytes(container(header, bfloat16 + values.astype(np.float16).tobytes()))
    arrays, _ = safetensors.read(tmp_path / "x")
    np.testing.assert_array_equal(arrays["a"], values)
    np.testing.assert_array_equal(arrays["b"], values)


@pytest.mark.parametrize(
    "data",
    [
        container({"a": entry([2], 0, 8)}, bytes(7)),  # cut short
        container({"a": entry([2], 0, 8)}, bytes(9)),  # bytes of no tensor
        container({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),  # overlap
        container({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, bytes(20)),  # gap
        container({"a": entry([1 << 40], 0, 1 << 42)}, bytes(8)),
        container({"a": entry([3], 0, 8)}, bytes(8)),
        container({"a": entry([-2], 0, 8)}, bytes(8)),
        container({"a": entry([True, 2], 0, 8)}, bytes(8)),
        container({"a": entry([1] * 40, 0, 4)}, bytes(4)),
        container({"a": entry([0, 1 << 60], 0, 0)}),
        container({"a": entry([2], 0, 8, "C64")}, bytes(8)),
        container({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
        container({"a": 3}, bytes(8)),
        container(b'{"a": 1, "a": 2}'),
        container(b"[" * 100_000),
        container(b"{", length=1 << 60),
        container(b"{\xff"),
    ],
)
def test_malformed_containers(data, tmp_path):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(Refused, match="x: "):
        safetensors.read(tmp_path / "x")


def test_checkpoints_of_training(tree, config, tmp_path):
    import jax
    import optax

    from training.checkpoint import Checkpoints
    from training.state import TrainState

    state = TrainState.create(tree, optax.adam(1e-3), (0.9, 0.99))
    average = jax.tree.map(lambda a: 2 * a, tree)
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep_last=2)
    for step in (9, 10):
        kept = state.replace(step=np.int32(step), params=jax.tree.map(lambda a, s=step: s * a, tree))
        checkpoints.save(kept.replace(ema=(average, tree)), position=0, config=config)
    checkpoints.close()
    expected = {9: jax.tree.map(lambda a: 9 * a, tree), 10: jax.tree.map(lambda a: 10 * a, tree)}
    for path, step in ((tmp_path, 10), (tmp_path / "checkpoints", 10), (tmp_path / "checkpoints" / "9", 9)):
        np.testing.assert_equal(interop.load(path, config, "raw"), expected[step])
        np.testing.assert_equal(interop.load(path, config, "ema"), average)
    config.model.num_res_blocks = 2
    with pytest.raises(ValueError, match="set --config.model.num_res_blocks=1"):
        interop.load(tmp_path, config)


def test_a_number_of_states_that_is_the_default_may_be_said_or_not(tree, config, tmp_path):
    """Configs of version 0.1 say 1000 where None means it."""
    for said in (1000, None):
        config.model.num_scales = said
        folder = interop.export(tree, config, tmp_path / str(said))
        for asked in (1000, None):
            config.model.num_scales = asked
            np.testing.assert_equal(interop.load(folder, config), tree)
        config.model.num_scales = 50
        with pytest.raises(ValueError, match="num_scales"):
            interop.load(folder, config)
