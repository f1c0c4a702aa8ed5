"""The msgpack reader: parameters of a state of the published layout, and nothing else."""

import msgpack
import numpy as np
import pytest

import interop
from files.refused import Refused


def extension(array, code=1, dtype=None, shape=None):
    array = np.asarray(array)
    described = (shape or array.shape, dtype or array.dtype.name, array.tobytes())
    return msgpack.ExtType(code, msgpack.packb(described, use_bin_type=True))


def state_of(averages, raw):
    """A published training state with these parameters, {name: array}."""

    def tree(leaves):
        nested = {}
        for name, array in leaves.items():
            *path, leaf = name.split("/")
            inner = nested
            for key in path:
                inner = inner.setdefault(key, {})
            inner[leaf] = extension(array.reshape(1, 1, 1, -1) if "GroupNorm" in name else array)
        return nested

    return {
        "step": extension(np.int32(7)),
        "optimizer": {"target": tree(raw), "state": {"step": extension(np.int32(7), code=3)}},
        "lr": extension(np.float32(2e-4)),
        "model_state": {},
        "ema_rate": 0.9999,
        "params_ema": tree(averages),
        "rng": extension(np.zeros(2, np.uint32)),
    }


def test_both_sets_of_parameters(tmp_path, config, params_of):
    averages, raw = params_of(config, seed=1), params_of(config, seed=2)
    path = tmp_path / "checkpoint_7"
    path.write_bytes(msgpack.packb(state_of(averages, raw)))
    for params, leaves in (("ema", averages), ("raw", raw)):
        tree = interop.load(path, config, params)
        kernel = tree["ResnetBlockBigGANpp_0"]["Conv_0"]["kernel"]
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, leaves["ResnetBlockBigGANpp_0/Conv_0/kernel"])
        np.testing.assert_array_equal(tree["GroupNorm_0"]["scale"], leaves["GroupNorm_0/scale"])
    with pytest.raises(ValueError, match="choose from ema, raw"):
        interop.load(path, config, "average")


def test_every_differing_name_is_reported(tmp_path, config, params_of):
    leaves = params_of(config)
    del leaves["Dense_1/bias"]
    leaves["Dense_7/bias"] = np.zeros(3, np.float32)
    leaves["Dense_0/bias"] = np.zeros(5, np.float32)
    path = tmp_path / "checkpoint_7"
    path.write_bytes(msgpack.packb(state_of(leaves, leaves)))
    with pytest.raises(ValueError) as caught:
        interop.load(path, config)
    first, *others = str(caught.value).splitlines()
    assert "1 names missing, 1 unexpected, 1 of another shape" in first
    assert others == [
        "missing from the file: Dense_1/bias (32,)",
        "unexpected in the file: Dense_7/bias (3,)",
        "other shape: Dense_0/bias is (5,) in the file, (32,) in the config",
    ]
    assert interop.report(path, config).splitlines()[2:] == others


def test_cut_short_at_any_place(tmp_path, config, params_of):
    leaves = params_of(config)
    data = msgpack.packb(state_of(leaves, leaves))
    path = tmp_path / "checkpoint_7"
    for keep in (7, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:keep])
        with pytest.raises(Refused, match="checkpoint_7: damaged, cut short, or not msgpack"):
            interop.load(path, config)


@pytest.mark.parametrize(
    "value",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of 4294967295 entries
        b"\xdf\xff\xff\xff\xff",  # a map of as many
        b"\xdb\xff\xff\xff\xff",  # a text of 4 GiB
        b"\xc6\xff\xff\xff\xff",  # bytes
        b"\xc9\xff\xff\xff\xff\x01",  # an extension
        b"\x91" * 100_000,  # nesting
        b"\xc1",  # no type at all
    ],
)
def test_sizes_that_the_file_does_not_hold(tmp_path, config, value):
    path = tmp_path / "checkpoint_7"
    path.write_bytes(b"\x81\xaaparams_ema" + value)
    with pytest.raises(Refused, match="damaged, cut short, or not msgpack"):
        interop.load(path, config)


@pytest.mark.parametrize(
    "leaf",
    [
        extension(np.zeros(2, np.float32), code=42),
        extension(np.zeros(2, np.int64), dtype="O"),
        extension(np.zeros(2, np.int64), dtype="V16"),
        extension(np.zeros(2, np.float32), shape=(1 << 40,)),
        extension(np.zeros(2, np.float32), shape=(-1,)),
        msgpack.ExtType(1, b"\xc0"),
    ],
)
def test_leaves_that_are_no_arrays(tmp_path, config, leaf):
    path = tmp_path / "checkpoint_7"
    path.write_bytes(msgpack.packb({"params_ema": {"Conv_0": {"kernel": leaf}}}))
    with pytest.raises(Refused, match="damaged, cut short, or not msgpack"):
        interop.load(path, config)


def test_states_of_other_projects(tmp_path, config):
    path = tmp_path / "checkpoint_7"
    path.write_bytes(msgpack.packb({"step": 1, "params": {"Dense_0": {"kernel": extension(np.zeros(2))}}}))
    with pytest.raises(Refused, match="msgpack without params_ema.*it holds step, params"):
        interop.load(path, config)
    path.write_bytes(msgpack.packb({"params_ema": {"Dense_0": "text"}}))
    with pytest.raises(Refused, match="Dense_0 is a str, not an array"):
        interop.load(path, config)
