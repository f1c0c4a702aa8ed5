"""The lock of a workdir: held by the living, and by nobody else."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from training import lock
from training.lock import locked

HERE = socket.gethostname()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr(lock, "WATCH", 0.5)


def leave_owner(folder, host, pid=4194305):
    """What a process that was killed leaves behind; no process has a number above 2^22."""
    (folder / "lock").write_text(json.dumps({"host": host, "pid": pid}))


def test_the_second_is_refused_in_one_line_and_the_third_is_not(tmp_path):
    with locked(tmp_path):
        with pytest.raises(RuntimeError) as refused, locked(tmp_path):
            pass
        assert f"process {os.getpid()} on {HERE} trains there" in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1
    with locked(tmp_path):
        pass


def test_it_ends_with_a_process_that_is_killed(tmp_path, capsys):
    code = (
        "import sys, time; from training.lock import locked\n"
        "with locked(sys.argv[1]): print('held', flush=True); time.sleep(300)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match=f"process {owner.pid} on {HERE} trains there"), locked(tmp_path):
        pass
    owner.kill()
    owner.wait()
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert f"process {owner.pid} on {HERE} left" in capsys.readouterr().out


def test_another_host_is_believed_dead_where_it_does_not_touch_the_lock(tmp_path, capsys):
    leave_owner(tmp_path, "elsewhere")
    with locked(tmp_path):
        pass
    assert "last trained by elsewhere" in capsys.readouterr().out


def test_another_host_that_touches_the_lock_is_alive(tmp_path, monkeypatch):
    """Where the file system passes no locks on between hosts, flock succeeds for both."""
    with locked(tmp_path):
        monkeypatch.setattr(lock.fcntl, "flock", lambda *_: None)
        monkeypatch.setattr(lock.socket, "gethostname", lambda: "elsewhere")
        with pytest.raises(RuntimeError, match=f"process {os.getpid()} on {HERE} trains there"), locked(tmp_path):
            pass


def test_file_systems_without_locks_are_watched(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    with locked(tmp_path), pytest.raises(RuntimeError, match="trains there"), locked(tmp_path):
        pass
    leave_owner(tmp_path, HERE)
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", [b'{"host": "e', b"\0\0\0\0", b"[]"])
def test_a_half_written_lock_is_nobodys_after_a_while(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    with locked(tmp_path):
        pass


def test_a_workdir_that_cannot_be_written_is_named(tmp_path):
    """A file in its place stands in for permissions, which root has."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"--workdir=.*file/run cannot be written: Not a directory"),
        locked(tmp_path / "file" / "run"),
    ):
        pass
