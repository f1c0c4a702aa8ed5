"""Short names in a clone are the modules of the package; elsewhere they belong to others; a wheel holds all of them."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT


def python(code, cwd, *paths):
    """Output of `code` in a new interpreter in the folder `cwd`, with `paths` before the installed packages."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_short_names_are_the_same_modules_whichever_comes_first():
    code = """
import sde_lib, sde_lib.vp, linnet.sde_lib.vp, linnet.samplers.grids
from samplers import grids
import configs.cld.digits
print(sde_lib is linnet.sde_lib, sde_lib.vp is linnet.sde_lib.vp, sde_lib.SDES["vp"] is sde_lib.vp.VP)
print(grids is linnet.samplers.grids, configs.cld.digits.__name__)
"""
    assert python(code, ROOT) == ["True"] * 4 + ["linnet.configs.cld.digits"]


@pytest.mark.parametrize(
    "first", ["training.loop", "samplers.grids", "sde_lib.vp", "configs.cld.digits", "models.ddpm", "interop"]
)
def test_a_file_that_is_imported_first_is_the_same_module_too(first):
    code = f"""
import importlib
short = importlib.import_module("{first}")
print(short is importlib.import_module("linnet.{first}"))
"""
    assert python(code, ROOT) == ["True"]


def test_a_project_keeps_its_own_folders(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("mine = True\n")
    code = """
import models, linnet.models
print(models.mine, linnet.models is models)
"""
    assert python(code, tmp_path, tmp_path, ROOT) == ["True", "False"]


def copied(folder):
    """A copy of the clone below `folder`, without tests and what was built."""
    ignored = shutil.ignore_patterns(".*", "runs", "build", "docs", "tests", "*.egg-info")
    return shutil.copytree(ROOT, folder / "clone", ignore=ignored)


def pip(*arguments):
    """Runs pip, which builds with the setuptools that is installed here."""
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """A folder that holds what the wheel installs, and nothing of the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--target", folder / "site", copied(folder))
    return folder / "site"


def test_a_wheel_holds_the_library_and_nothing_beside_it(wheel, tmp_path):
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names - {"bin", "__pycache__"} == {"linnet"}
    code = """
import linnet.modes.train, linnet.interop, linnet.evaluation.classifier as classifier
from linnet.configs.cld.digits import get_config
from linnet.samplers import get_sampler
from linnet.sde_lib import get_sde
config = get_config()
print(linnet.__file__, classifier.DIGITS.asset.exists(), get_sampler(config, get_sde(config)).nfe)
"""
    file, asset, nfe = python(code, tmp_path, wheel)
    assert file.startswith(str(wheel))
    assert (asset, nfe) == ("True", "50")


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_an_editable_install_leads_to_the_clone(tmp_path, mode):
    """In an environment of its own and from another folder: the library and the command `linnet` are the clone's."""
    clone, environment = copied(tmp_path), tmp_path / "environment"
    venv.create(environment)
    base = {"base": str(environment)}
    purelib, scripts = (Path(sysconfig.get_path(name, vars=base)) for name in ("purelib", "scripts"))
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    editable = ("--config-settings", f"editable_mode={mode}", "--editable", clone)
    pip("--python", environment, "install", "--quiet", "--no-deps", "--no-build-isolation", *editable)
    for file, edit in (("sde_lib/vp.py", "EDITED = True"), ("linnet/command.py", "print('edited')")):
        (clone / file).write_text(f"{(clone / file).read_text()}\n{edit}\n")
    code = """
import linnet.evaluation.classifier, linnet.modes.train, linnet.sde_lib.vp
print(linnet.sde_lib.vp.EDITED, linnet.evaluation.classifier.DIGITS.asset.exists())
"""
    run = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": ""}, "capture_output": True, "text": True}
    done = subprocess.run([scripts / "python", "-c", code], **run)
    assert done.stdout.split() == ["True", "True"], done.stderr
    assert subprocess.run([scripts / "linnet", "--help"], **run).stdout.startswith("edited")
