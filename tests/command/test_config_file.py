"""--config: Python files, the config.json of runs and exports, and what is said of files that are neither."""

import json

import pytest

from configs.default import get_config as default
from linnet import config_file
from tests.conftest import ROOT

BASE = "from configs.vp.digits import get_config as base\ndef get_config():\n    config = base()\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """written(text, name) -> path of a file with this text."""
    monkeypatch.syspath_prepend(ROOT)

    def write(text, name="mine.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def load(written, *lines):
    return config_file.load(written(BASE + "".join(f"    {line}\n" for line in lines) + "    return config\n"))


def refused(argument):
    with pytest.raises(ValueError) as caught:
        config_file.load(argument)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("unlock", ["", "with config.ignore_type(): "])
def test_keys_that_take_one_number_or_several(written, unlock):
    config = load(
        written, f"{unlock}config.data.image_size = (8, 16)", f"{unlock}config.model.ema_rate = [0.999, 0.99]"
    )
    assert (config.data.image_size, config.model.ema_rate) == ((8, 16), (0.999, 0.99))
    config = load(written, "config.data.update(image_size=16)", "config.model.update(ema_rate=0)")
    assert (config.data.image_size, config.model.ema_rate) == (16, 0.0)


def test_numbers_take_the_type_of_their_key(written):
    config = load(written, "import numpy as np", "config.optim.lr = 1", "config.training.n_iters = 1e5",
                  "config.model.nf = np.int64(8)", "config.model.dropout = np.float32(0.5)")  # fmt: skip
    values = (config.optim.lr, config.training.n_iters, config.model.nf, config.model.dropout)
    assert values == (1.0, 100_000, 8, 0.5)
    assert [type(value) for value in values] == [float, int, int, float]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config.training.n_iter = 10", "config.training.n_iter is unknown (did you mean config.training.n_iters?)"),
        ("config.data.imagesize = 16", "did you mean config.data.image_size?"),
        ("config.training.lr = 1e-4", "did you mean config.optim.lr?"),
        ("config.optim.rate_of_learning = 1e-4", "(optim has beta1, beta2, eps, grad_clip, lr, "),
        ("config.optims = {'lr': 1}", "config.optims is unknown (did you mean optim?)"),
        ("config.optim = 3", "config.optim is a group, not 3"),
        ("config.sde.m_inv = 3.0", "config.sde.m_inv means nothing to 'vp'"),
        ("config.sde.name = 'vpp'", "config.sde.name='vpp' is unknown (did you mean vp?)"),
        ("config.sde.name = ['vp']", "config.sde.name=['vp'] is unknown"),
        ("config.optim.lr = '1e-4'", "config.optim.lr='1e-4' must be a number"),
        ("config.optim.lr = float('nan')", "must be finite"),
        ("config.model.dropout = 1", "must be at least 0 and below 1"),
        ("config.training.n_iters = 10.5", "must be a whole number"),
        ("config.training.n_iters = True", "must be a whole number"),
        ("config.training.reduce_mean = 1", "must be True or False"),
        ("config.model.ch_mult = '1,2'", "must be a tuple like (1, 2), each a whole number"),
        ("config.data.image_size = (8, 8, 3)", "must be of length 2"),
        ("config.model.ema_rate = (0.9, 1.0)", "must be at least 0 and below 1, or a tuple of such"),
        ("config.data.path = 'gs://bucket/images'", "must be a path of this machine"),
        ("config.data.path = 3", "must be text"),
        ("config.nothing.at.all = 3", "line 4: AttributeError"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(written, line, message):
    path = written(f"{BASE}    {line}\n    return config\n")
    found = refused(path)
    assert found.startswith(f"{path}: ") and message in found, found


def test_everything_wrong_is_said_at_once(written):
    found = refused(written(f"{BASE}    config.optim.lr = -1\n    config.optim.warm = 3\n    return config\n"))
    assert "config.optim.lr=-1" in found and "config.optim.warmup" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:\n", "line 1: SyntaxError"),
        ("\0", "SyntaxError"),
        ("\nraise KeyError('x')\n", "line 2: KeyError: 'x'"),
        ("get_config = 3\n", "it has no function get_config"),
        ("def get_config():\n    pass\n", "get_config returns None"),
        ("def get_config(size):\n    pass\n", "get_config needs an argument: --config=FILE.py:ARGUMENT"),
        ("from configs.default_cifar10_configs import get_default_configs\n", "no module configs.default_cif"),
        ("from configs.vp.digit import get_config\n", "line 1: there is no module configs.vp.digit (did you mean"),
        ("import nosuch\n", "line 1: ModuleNotFoundError: No module named 'nosuch'"),
    ],
)  # fmt: skip
def test_files_that_do_not_give_a_config(written, text, message):
    found = refused(written(text))
    assert message in found, found


def test_an_argument_after_the_colon(written):
    path = written("from configs.default import get_config as base\ndef get_config(name):\n    return base(name)\n")
    assert config_file.load(f"{path}:ve").sde.name == "ve"
    assert "leave out :ve" in refused(f"{written(BASE + '    return config')}:ve")


def test_a_path_that_is_none(written, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    written("", "experiment.py")
    assert f"did you mean {tmp_path}/experiment.py?" in refused(f"{tmp_path}/experimnt.py")
    assert "did you mean configs/cld/digits.py?" in refused("configs/cld/digit.py")
    assert "is a folder without a config.json" in refused(str(tmp_path))
    assert "neither a Python file" in refused(written("a: 1", "config.yaml"))
    assert "is empty" in refused("")
    assert "must be a path of this machine" in refused("gs://bucket/config.py")


def test_home_and_shipped_configs_are_found_from_anywhere(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written(BASE + "    return config")
    assert config_file.load("~/mine.py").sde.name == "vp"
    assert config_file.load("configs/cld/digits.py").sde.name == "cld"


def test_the_config_of_a_run_or_an_export(written, tmp_path):
    config = default("ve", "ddpm")
    config.data.image_size = (8, 16)
    config.sampling.s_max = float("inf")
    text = json.dumps(config.to_dict())
    for path in (written(text, "run/config.json"), f"{tmp_path}/run"):
        assert config_file.load(path).to_dict() == config.to_dict()
    export = written(json.dumps({"format": "linnet", "version": 1, "config": config.to_dict()}), "export.json")
    assert config_file.load(export).to_dict() == config.to_dict()


def test_a_config_of_an_earlier_version_lacks_keys(written):
    old = default("cld", "ncsnpp").to_dict()
    del old["eval"]["bpd_repeats"], old["seed"]
    assert config_file.load(written(json.dumps(old), "config.json")).to_dict() == default("cld", "ncsnpp").to_dict()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"_class_name": "UNet2DModel"}', '{"format": "linnet"}'])
def test_json_that_is_no_config(written, text):
    path = written(text, "config.json")
    assert refused(path).startswith(path)


def test_keys_of_modes_that_a_run_of_another_version_noted_are_passed_over(written, capsys):
    """They decided nothing about what was trained; any other key that is not known may have."""
    stored = default("vp", "ncsnpp").to_dict()
    stored["tune"]["pace"] = 0.03
    config = config_file.load(written(json.dumps(stored), "config.json"))
    assert config.to_dict() == default("vp", "ncsnpp").to_dict()
    assert "config.tune.pace, unknown to this version" in capsys.readouterr().out
    stored["optim"]["pace"] = 0.03
    assert "config.optim.pace is unknown" in refused(written(json.dumps(stored), "config.json"))
