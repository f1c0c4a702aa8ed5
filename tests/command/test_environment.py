"""Environment variables are looked at before anything starts."""

import os

import pytest

from linnet import environment

JOINED = {"LINNET_COORDINATOR": "localhost:1234", "LINNET_PROCESSES": "2", "LINNET_PROCESS_ID": "0"}


@pytest.fixture
def variables(monkeypatch):
    def put(**values):
        for name in environment.NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def test_what_is_right(variables):
    variables()
    environment.check()
    variables(**JOINED, LINNET_LPIPS="~/weights", HOME="/home/me", LINNET_OTHER="1")
    environment.check()
    assert os.environ["LINNET_LPIPS"] == "/home/me/weights"
    variables(LINNET_DISTRIBUTED="auto", LINNET_HEARTBEAT="3e1")
    environment.check()
    assert os.environ["LINNET_HEARTBEAT"] == "30"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"LINNET_PROCESES": "2"}, "did you mean LINNET_PROCESSES?"),
        ({"LINNET_INCEPTION": ""}, "LINNET_INCEPTION='' must be a path"),
        ({"LINNET_LPIPS": "gs://bucket/x"}, "LINNET_LPIPS='gs://bucket/x' must be a path of this machine"),
        ({"LINNET_PROCESSES": "2"}, "LINNET_COORDINATOR is not set"),
        (JOINED | {"LINNET_PROCESSES": "two"}, "LINNET_PROCESSES='two' must be a whole number"),
        (JOINED | {"LINNET_PROCESSES": "0"}, "must be at least 1"),
        (JOINED | {"LINNET_PROCESS_ID": "2"}, "counts from 0 to 1"),
        (JOINED | {"LINNET_COORDINATOR": "localhost"}, "must be host:port"),
        (JOINED | {"LINNET_DISTRIBUTED": "auto"}, "LINNET_DISTRIBUTED is auto, without LINNET_COORDINATOR"),
        ({"LINNET_DISTRIBUTED": "slurm"}, "LINNET_DISTRIBUTED is auto"),
        ({"LINNET_HEARTBEAT": "0"}, "LINNET_HEARTBEAT=0 must be at least 1"),
    ],
)
def test_what_cannot_be_meant(variables, values, message):
    variables(**values)
    with pytest.raises(ValueError, match="LINNET") as caught:
        environment.check()
    assert message in str(caught.value)
