"""Who may import whom (the shape of the house), read from the syntax trees."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

LEAVES = {"arrays", "files", "devices", "randomness", "registry"}
ALLOWED = {
    "files": set(),
    "devices": set(),
    "configs": set(),
    "sde_lib": LEAVES,
    "data": LEAVES,
    "models": {"sde_lib", "configs"} | LEAVES,
    "samplers": {"sde_lib"} | LEAVES,
    "training": {"sde_lib", "models", "data"} | LEAVES,
    "evaluation": {"models"} | LEAVES,
    "interop": {"sde_lib", "models"} | LEAVES,
}
ENGINE = set(ALLOWED) | LEAVES
ALLOWED |= {"engine": ENGINE, "modes": ENGINE | {"engine"}}
JOINERS = {"linnet"}
OURS = set(ALLOWED) | LEAVES | {"main", "benchmarks", "tests", "command"}
FILES = [path for folder in (*ALLOWED, *JOINERS) for path in sorted((ROOT / folder).rglob("*.py"))]
BELOW = [path for path in FILES if path.relative_to(ROOT).parts[0] in ALLOWED]


def imports(path: Path) -> set[str]:
    """Dotted names of what `path` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(path: Path) -> set[str]:
    """The folders of ours that `path` imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("linnet.")} & OURS


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_ours_are_imported_by_their_full_name(path):
    """A wheel has no folder `models` at its top."""
    assert not {name.split(".")[0] for name in imports(path)} & OURS


@pytest.mark.parametrize("path", BELOW, ids=lambda p: str(p.relative_to(ROOT)))
def test_folders_import_only_what_they_may(path):
    folder = path.relative_to(ROOT).parts[0]
    extra = imported(path) - ALLOWED[folder] - {folder}
    if folder == "models" and path.name not in ("eps_net.py", "labels.py", "predictions.py", "transfer.py"):
        extra |= imported(path) & {"sde_lib"}
    if folder == "evaluation" and path.name != "vgg.py":
        extra |= imported(path) & {"models"}
    if path.name == "train_classifier.py":
        extra -= {"data"}
    assert not extra, f"{path} imports {extra}"


@pytest.mark.parametrize("name", ["arrays", "randomness", "registry"])
def test_leaves_import_nothing_of_ours(name):
    assert not imported(ROOT / "linnet" / f"{name}.py")


def test_only_one_file_says_pmap_and_only_engines_place_arrays():
    """The home of devices."""

    def users(*words):
        return [path.relative_to(ROOT).as_posix() for path in FILES if any(word in path.read_text() for word in words)]

    assert users("jax.pmap") == ["devices/parallel.py"]
    assert users("NamedSharding", "jax.device_put") == ["devices/mesh.py", "devices/parallel.py"]


HEAVY = {
    "tensorflow",
    "torch",
    "tensorflow_datasets",
    "sklearn",
    "matplotlib",
    "clu",
    "grain",
    "wandb",
    "tqdm",
    "diffrax",
}


@pytest.mark.parametrize("path", BELOW, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    """Not at the top of a module: training must start where they are not installed."""
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {(node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top}
    assert not {name.split(".")[0] for name in names} & HEAVY


def test_no_private_jax():
    for path in ROOT.rglob("*.py"):
        if ".venv" not in path.parts and path != Path(__file__).resolve():
            assert "jax._" + "src" not in path.read_text(), path
