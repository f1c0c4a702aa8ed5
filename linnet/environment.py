"""The environment variables of Linnet, looked at before anything starts."""

import os
from collections.abc import Mapping
from typing import Any

from linnet.configs.kinds import Number, Path, checked
from linnet.registry import suggestion

COORDINATOR = "LINNET_COORDINATOR"
PATHS = ("LINNET_INCEPTION", "LINNET_LPIPS")
NUMBERS = {"LINNET_PROCESSES": Number(int, at_least=1), "LINNET_PROCESS_ID": Number(int, at_least=0)}
HEARTBEAT = {"LINNET_HEARTBEAT": Number(int, at_least=1)}
AUTO = "LINNET_DISTRIBUTED"
NAMES = (AUTO, COORDINATOR, *NUMBERS, *HEARTBEAT, *PATHS)


def check() -> None:
    """ValueError for a value that cannot be meant, or a name that is nearly one of ours. Expands ~ in paths."""
    for name in sorted(name for name in os.environ if name.startswith("LINNET_") and name not in NAMES):
        if near := suggestion(name, NAMES, cutoff=0.85):
            raise ValueError(f"the environment variable {name} is unknown{near}")
    for name in PATHS:
        if name in os.environ:
            os.environ[name] = checked(f"${name}", Path(may_be_empty=False), os.environ[name])
    check_processes()


def check_processes() -> None:
    """ValueError unless all variables that join processes are set, or the one that finds them, or none."""
    names = (COORDINATOR, *NUMBERS)
    absent = [name for name in names if name not in os.environ]
    read_numbers(HEARTBEAT)
    if AUTO in os.environ:
        if os.environ[AUTO] != "auto" or len(absent) < len(names):
            raise ValueError(f"${AUTO} is auto, without {', '.join(names)}; or leave it out and set these")
        return
    if len(absent) == len(names):
        return
    if absent:
        raise ValueError(f"${absent[0]} is not set: several processes need {', '.join(names)}, each in all of them")
    values = read_numbers(NUMBERS)
    if values["LINNET_PROCESS_ID"] >= values["LINNET_PROCESSES"]:
        raise ValueError(f"$LINNET_PROCESS_ID counts from 0 to {values['LINNET_PROCESSES'] - 1}")
    host, _, port = os.environ[COORDINATOR].rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"${COORDINATOR}={os.environ[COORDINATOR]} must be host:port, the same in all processes")


def read_numbers(kinds: Mapping[str, Number]) -> dict[str, Any]:
    """{name: number} of the variables that are set, which then hold it as plain digits. ValueError."""
    present = {name: kind for name, kind in kinds.items() if name in os.environ}
    values = {name: checked(f"${name}", kind, kind.read(os.environ[name])) for name, kind in present.items()}
    os.environ |= {name: str(value) for name, value in values.items()}
    return values
