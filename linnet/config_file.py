"""A config from where --config points: a Python file with get_config, or the config.json of a run or of an export.

Its keys and values are checked by linnet/config_keys.py.
"""

import inspect
import json
import os
import runpy
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from linnet import configs
from linnet.config_keys import passed_over, resolve
from linnet.configs import kinds
from linnet.registry import suggestion

SHIPPED = Path(next(iter(configs.__path__))).parent
"""The folder of Linnet's own `configs`."""


def load(argument: str) -> ConfigDict:
    """The config of FILE.py, FILE.py:ARGUMENT of get_config, FILE.json or a folder with a config.json.

    ValueError in one line names the file, and its line or key, and what was probably meant.
    """
    name = argument
    arguments = []
    if not os.path.exists(argument) and ".py:" in argument:
        name, _, text = argument.rpartition(".py:")
        name += ".py"
        arguments = [text]
    path = find(name)
    found = read_json(path) if path.suffix == ".json" else run(path, arguments)
    try:
        if path.suffix == ".json":
            found, gone = passed_over(found)
            if gone:
                print(f"passed over in {path}: config.{', config.'.join(gone)}, unknown to this version", flush=True)
        return resolve(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def find(name: str) -> Path:
    """The file that `name` means: itself, config.json in it, or one that Linnet ships. ValueError if there is none."""
    path = Path(kinds.checked("--config", kinds.Path(may_be_empty=False), name))
    for file in (path, path / "config.json", SHIPPED / path):
        if file.is_file():
            if file.suffix not in (".py", ".json"):
                raise ValueError(f"--config={file} is neither a Python file with get_config nor a config.json")
            return file
    if path.is_dir():
        raise ValueError(f"--config={path} is a folder without a config.json (training writes one into its --workdir)")
    raise ValueError(f"--config={path} does not exist{suggestion(str(path), files_near(path))}")


def files_near(path: Path) -> list[str]:
    """Configs that `path` may have meant: what lies in its folder, and what Linnet ships."""
    beside = [str(file) for pattern in ("*.py", "*.json", "*/config.json") for file in path.parent.glob(pattern)]
    return beside + [f"{name.replace('.', '/')}.py" for name in shipped()]


def shipped() -> list[str]:
    """Modules of Linnet's own configs: configs.cld.digits, ..."""
    files = SHIPPED.glob("configs/**/*.py")
    return [".".join(file.relative_to(SHIPPED).with_suffix("").parts) for file in files]


def read_json(path: Path) -> dict[str, Any]:
    """The groups in a config.json of a run (the config itself) or of an export (under "config")."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged or no JSON: {error}") from error
    if isinstance(found, dict) and found.get("format") == "linnet":
        found = found.get("config")
    if not isinstance(found, dict) or not {"sde", "model"} <= found.keys():
        raise ValueError(f"{path} is no config of Linnet: it has no groups sde and model")
    return found


def run(path: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """What get_config(*arguments) of the Python file returns, as a dict of groups."""
    try:
        get_config = runpy.run_path(str(path)).get("get_config")
        if not callable(get_config):
            raise ValueError("it has no function get_config")
        check_arguments(get_config, arguments)
        found = get_config(*arguments)
        if not isinstance(found, ConfigDict | Mapping):
            raise ValueError(f"get_config returns {found!r}, which is no config")
        return ConfigDict(found).to_dict()
    except Exception as error:
        raise ValueError(f"{path}: {where(error, path)}{explain(error)}") from error


def check_arguments(get_config: Callable[..., Any], arguments: Sequence[str]) -> None:
    """ValueError unless the function takes what followed the colon after the file's name."""
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError as error:
        raise ValueError(
            f"get_config takes no argument; leave out :{arguments[0]}"
            if arguments
            else "get_config needs an argument: --config=FILE.py:ARGUMENT"
        ) from error


def where(error: BaseException, path: Path) -> str:
    """ "line 3: " where the error arose in the file, else nothing."""
    if isinstance(error, SyntaxError) and error.filename == str(path) and error.lineno:
        return f"line {error.lineno}: "
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


def explain(error: BaseException) -> str:
    """The error in one line, with its type where the text alone says too little."""
    if isinstance(error, ModuleNotFoundError) and "configs." in (error.name or ""):
        name = str(error.name).removeprefix("linnet.")
        return f"there is no module {name}{suggestion(name, shipped())} (Linnet's configs start from configs.default)"
    text = " ".join(str(error).split())
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
