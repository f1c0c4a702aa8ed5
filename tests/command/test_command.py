"""The command line as a whole, up to where the work begins."""

import json
from types import SimpleNamespace

import pytest
from absl.testing import flagsaver

from configs.vp.digits import get_config
from devices import processes
from linnet import command
from tests.conftest import ROOT

VP = f"--config={ROOT}/configs/vp/digits.py"


@pytest.fixture(autouse=True)
def flags(monkeypatch, tmp_path):
    """Flags are as they were after a test; ~ is an empty folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with flagsaver.flagsaver():
        yield


def parse(*arguments):
    return command.parse_flags(["main.py", *arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        parse(*arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.fixture
def run(tmp_path):
    """A folder with the config.json of a run."""
    config = get_config()
    config.data.image_size = (8, 16)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(config.to_dict()))
    return tmp_path / "run"


def test_flags_change_the_config_of_a_run(run):
    config, changed = parse(f"--config={run}", "--mode=check", "--config.seed=3")
    assert (config.data.image_size, config.seed, changed) == ((8, 16), 3, ["seed"])


@pytest.mark.parametrize("flag", ["--workdir", "--ckpt"])
def test_the_config_of_the_workdir_or_checkpoint_stands_in(run, flag, capsys):
    config, _ = parse(f"{flag}=~/run", "--mode=sample", "--config.optim.lr=1")
    assert config.data.image_size == (8, 16) and config.optim.lr == 1.0
    assert capsys.readouterr().out == f"--config={run}/config.json\n"
    assert command.FLAGS[flag[2:]].value == str(run)


def test_a_config_that_is_given_comes_first(run):
    config, _ = parse(f"--workdir={run}", "--mode=sample", VP)
    assert config.data.image_size == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=train"], "--config is missing"),
        (["--mode=train", "--workdir=~/none"], "none has no config.json"),
        ([VP], "--mode is missing"),
        ([VP, "--mode=trian"], "--mode='trian' is unknown (did you mean train?)"),
        ([VP, "--mode=train", "--workdri=x"], "there is no --workdri (did you mean workdir?)"),
        ([VP, "--mode=train", "--optim.lr=1"], "did you mean config.optim.lr?"),
        ([VP, "--mode=train", "stray"], "unexpected argument 'stray'"),
        ([VP, "--mode=train", "--workdir="], "--workdir='' must be a path, and is empty"),
        (
            [VP, "--mode=train", "--workdir=gs://bucket/run"],
            "--workdir='gs://bucket/run' must be a path of this",
        ),
        (
            [VP, "--mode=sample", "--ckpt=https://host/file"],
            "--ckpt='https://host/file' must be a path of this",
        ),
        ([VP, "--mode=train", "--config.training.n_iter=1"], "did you mean config.training.n_iters?"),
    ],
)
def test_typing_errors(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


SHARED = ("sample", "check", "fid", "fid_stats", "eval", "encode", "ood", "interpolate", "edit", "inpaint", "colorize")
SHARED += ("super_resolution", "encode_data")


@pytest.mark.parametrize("mode", [mode for mode in command.MODES if mode != "train"])
def test_the_second_process_takes_part_in_modes_that_deal_their_work_out_and_in_no_others(mode, monkeypatch):
    asked = []
    monkeypatch.setattr(processes, "is_first", lambda: False)
    monkeypatch.setattr(
        command.importlib, "import_module", lambda name: SimpleNamespace(run=lambda _: asked.append(name))
    )
    command.main(parse(VP, f"--mode={mode}", "--workdir=unused"))
    assert asked == [f"linnet.modes.{mode}"] * (mode in SHARED)
