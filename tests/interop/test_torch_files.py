"""torch's files without torch: what is read, and that nothing but parameters can be in them."""

import pickle
import sys
import zipfile

import numpy as np
import pytest

import interop
from files import torch_files, torch_legacy
from files.refused import Refused


def test_content_of_a_training_state(torch_zip, tmp_path, encode):
    _, call = encode
    number = call("_codecs", "encode", (np.float64(2e-5).tobytes().decode("latin1"), "latin1"))
    dtype = call("numpy", "dtype", ("f8", False, True), (3, "<", None, None, None, -1, -1, 0))
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    storage = torch_zip.tensor(array)
    content = {
        "model": {"a": torch_zip.tensor(array.T, parameter=True), "b": storage},
        "optimizer": {"lr": call("numpy._core.multiarray", "scalar", (dtype, number)), "betas": (0.9, 0.999)},
        "step": 7,
    }
    read = torch_files.read(torch_zip.write(tmp_path / "x.pth", content))
    assert read["optimizer"] == {"lr": 2e-5, "betas": (0.9, 0.999)}
    assert read["step"] == 7
    np.testing.assert_array_equal(read["model"]["a"].array(), array.T)
    np.testing.assert_array_equal(read["model"]["b"].array(), array)


def test_views_of_one_storage(torch_zip, tmp_path):
    torch_zip.tensor(np.arange(6))
    content = {"transposed": torch_zip.view("0", 6, 0, (3, 2), (1, 3)), "part": torch_zip.view("0", 6, 4, (2,), (1,))}
    read = torch_files.read(torch_zip.write(tmp_path / "x.pth", content))
    np.testing.assert_array_equal(read["transposed"].array(), np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(read["part"].array(), [4, 5])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "defaultdict"),
        ("files.torch_objects", "Storage"),
    ],
)
def test_other_types_are_refused_by_name_and_never_called(torch_zip, tmp_path, encode, config, module, name):
    _, call = encode
    marker = tmp_path / "executed"
    path = torch_zip.write(tmp_path / "x.pth", {"model": call(module, name, (f"touch {marker}",))})
    with pytest.raises(Refused, match=f"an object of type {module}.{name}"):
        interop.load(path, config)
    assert not marker.exists()


def test_finished_objects_cannot_be_altered(torch_zip, tmp_path, encode):
    _, call = encode
    tensor = torch_zip.tensor(np.zeros(4))
    tensor.state = {"shape": (1 << 20,), "stride": (1,)}
    with pytest.raises(Refused, match="alter a finished object"):
        torch_files.read(torch_zip.write(tmp_path / "x.pth", {"a": tensor}))
    function = call("torch._utils", "_rebuild_tensor_v2", None, (None, {"__new__": 1}))
    with pytest.raises(Refused, match="damaged"):
        torch_files.read(torch_zip.write(tmp_path / "y.pth", {"a": function}))


@pytest.mark.parametrize(
    ("n", "offset", "shape", "stride"),
    [
        (4, 0, (1 << 40,), (0,)),  # one number, repeated without end
        (4, 0, (5,), (1,)),
        (4, 1, (4,), (1,)),
        (4, -1, (1,), (1,)),
        (4, 0, (2, 2), (-1, 1)),
        (4, 0, (2, 2), (1, 3)),
        (4, 0, (2,), (1, 1)),
    ],
)
def test_tensors_beyond_their_storage(torch_zip, tmp_path, n, offset, shape, stride):
    torch_zip.tensor(np.zeros(4))
    content = {"a": torch_zip.view("0", n, offset, shape, stride)}
    with pytest.raises(Refused, match="a tensor of shape"):
        torch_files.read(torch_zip.write(tmp_path / "x.pth", content))


def test_storage_of_another_size(torch_zip, tmp_path):
    torch_zip.tensor(np.zeros(4))
    path = torch_zip.write(tmp_path / "x.pth", {"a": torch_zip.view("0", 1 << 40, 0, (1 << 40,), (1,))})
    with pytest.raises(Refused, match="16 bytes in archive/data/0"):
        torch_files.arrays(path, torch_files.read(path))


def test_zip_bomb(torch_zip, tmp_path, config):
    torch_zip.storages["0"] = bytes(1 << 24)
    path = torch_zip.write(tmp_path / "x.pth", {}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(Refused, match="compressed entries"):
        interop.load(path, config)


def test_overlapping_entries(torch_zip, tmp_path, config):
    torch_zip.storages = {"0": bytes(1 << 16), "1": b"", "2": b""}
    path = torch_zip.write(tmp_path / "x.pth", {})
    with zipfile.ZipFile(path, "a") as archive:
        big = archive.getinfo("archive/data/0")
        for info in archive.infolist():
            if info.filename in ("archive/data/1", "archive/data/2"):
                info.file_size = info.compress_size = big.file_size
                info.header_offset, info.CRC = big.header_offset, big.CRC
        archive.comment = b"rewritten"
    with pytest.raises(Refused, match="entries larger than the file"):
        interop.load(path, config)


@pytest.mark.parametrize("keep", [10, 0.3, 0.9, 0.999])
def test_cut_short(torch_zip, tmp_path, config, keep):
    path = torch_zip.write(tmp_path / "x.pth", {"model": {"all_modules.0.weight": torch_zip.tensor(np.zeros(1000))}})
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    with pytest.raises(Refused, match=r"x\.pth: a zip archive, but not a readable one"):
        interop.load(path, config)


def test_damaged_numbers_and_damaged_description(torch_zip, tmp_path, config):
    content = {"model": {"all_modules.0.weight": torch_zip.tensor(np.full(1000, 3.0))}}
    path = torch_zip.write(tmp_path / "x.pth", content)
    data = bytearray(path.read_bytes())
    data[data.index(np.full(8, 3.0, np.float32).tobytes()) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Refused, match="CRC"):
        interop.load(path, config, "raw")
    for damaged in (
        b"",
        b"\x80\x02",
        b"\x80\x02}(X\xff\xff\xff\xffa",
        b"\x80\x02(((tttR.",
        b"\x80\x02\x95" + b"\xff" * 8,
    ):
        with pytest.raises(Refused, match="damaged|holds"):
            interop.load(torch_zip.write(path, damaged), config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"weights": 1.0}, "not of NCSN"),
        ({"model": {"layer1.weight": 1.0}}, "it holds layer1.weight"),
        ({"model": {"all_modules.0.weight": "text"}}, "is a str, not a tensor"),
    ],
)
def test_files_of_other_models(torch_zip, tmp_path, config, content, message):
    with pytest.raises(Refused, match=message):
        interop.load(torch_zip.write(tmp_path / "x.pth", content), config, "raw")


def test_averages_that_are_absent_or_do_not_pair(torch_zip, tmp_path, config):
    tensor = torch_zip.tensor
    model = {"module.sigmas": tensor(np.zeros(5)), "module.all_modules.0.weight": tensor(np.zeros((2, 3)))}
    cases = {
        "holds no averaged parameters": {"model": model},
        "2 averages for 1": {"model": model, "ema": {"shadow_params": [tensor(np.zeros((2, 3)))] * 2}},
        r"all_modules.0.weight is \(3, 2\), not \(2, 3\)": {
            "model": model,
            "ema": {"shadow_params": [tensor(np.zeros((3, 2)))]},
        },
    }
    for message, content in cases.items():
        with pytest.raises(Refused, match=message):
            interop.load(torch_zip.write(tmp_path / "x.pth", content), config, "ema")


def test_big_endian_is_refused(torch_zip, tmp_path, config):
    with pytest.raises(Refused, match="big-endian"):
        interop.load(torch_zip.write(tmp_path / "x.pth", {}, byteorder=b"big"), config)


class Executes:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_plain_pickles_are_not_opened(tmp_path, config):
    path, marker = tmp_path / "network.pkl", tmp_path / "executed"
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps({"ema": Executes(marker)}, protocol))
        with pytest.raises(Refused, match="a pickle, which could run any code"):
            interop.load(path, config)
    path.write_bytes(pickle.dumps({"ema": Executes(marker), "module": "torch_utils.persistence"}, 4))
    with pytest.raises(Refused, match="docs/checkpoints.md shows how to export"):
        interop.load(path, config)
    assert not marker.exists()


def test_same_numbers_as_torch_and_legacy_format(tmp_path):
    torch = pytest.importorskip("torch", reason="pip install torch to compare with torch itself")
    linear = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Conv2d(2, 3, 3))
    optimizer = torch.optim.Adam(linear.parameters(), lr=1e-3)
    linear[0](torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = np.float64(2e-5)
    shadow = [linear[0].weight.detach().T, linear[0].bias.detach()]
    half = torch.arange(5.0).bfloat16()
    content = {
        "model": linear.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": {"shadow_params": shadow},
        "parameter": torch.nn.Parameter(torch.eye(2)),
        "half": half,
    }
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        read = torch_files.read(path)
        assert read["optimizer"]["param_groups"][0]["lr"] == 2e-5
        for name, tensor in linear.state_dict().items():
            np.testing.assert_array_equal(read["model"][name].array(), tensor.numpy())
        for got, want in zip(read["ema"]["shadow_params"], shadow, strict=True):
            np.testing.assert_array_equal(got.array(), want.numpy())
        np.testing.assert_array_equal(read["parameter"].array(), np.eye(2))
        np.testing.assert_array_equal(read["half"].array(), np.arange(5.0))


def legacy(torch_chain, path):
    """A file of one storage, 0 to 5, in the format before torch 1.6."""
    return torch_chain.write(path, {"a": torch_chain.tensor(np.arange(6).reshape(2, 3)), "step": 7})


def test_legacy_format_needs_no_torch(torch_chain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    read = torch_files.read(legacy(torch_chain, tmp_path / "x.pth"))
    np.testing.assert_array_equal(read["a"].array(), np.arange(6).reshape(2, 3))
    assert read["step"] == 7


def test_legacy_format_refuses_other_types(torch_chain, tmp_path, config, encode):
    _, call = encode
    marker = tmp_path / "executed"
    path = torch_chain.write(tmp_path / "x.pth", {"model": call("os", "system", (f"touch {marker}",))})
    with pytest.raises(Refused, match="an object of type os.system"):
        interop.load(path, config)
    assert not marker.exists()


def test_damaged_legacy_files(torch_chain, tmp_path, config):
    whole = legacy(torch_chain, tmp_path / "x.pth").read_bytes()
    for keep in (len(torch_legacy.MAGIC), 60, len(whole) - 40, len(whole) - 1):
        (tmp_path / "y.pth").write_bytes(whole[:keep])
        with pytest.raises(Refused, match="damaged"):
            interop.load(tmp_path / "y.pth", config)
    (tmp_path / "y.pth").write_bytes(whole[:-32] + b"\x07" + whole[-31:])  # the storage says that it has 7 numbers
    with pytest.raises(Refused, match="7 numbers where storage 0 has 6"):
        torch_files.read(tmp_path / "y.pth")
    with pytest.raises(Refused, match="big-endian"):
        torch_files.read(torch_chain.write(tmp_path / "z.pth", {}, little_endian=False))
    torch_chain.storages.clear()
    lacking = torch_chain.write(tmp_path / "z.pth", {"a": torch_chain.view("0", 6, 0, (6,), (1,))})
    with pytest.raises(Refused, match="storage 0 is not in it"):
        torch_files.arrays(lacking, torch_files.read(lacking))
