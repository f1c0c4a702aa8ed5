"""The house rules that can be read from the source (CONTRIBUTING.md)."""

import ast

import pytest

from tests.conftest import ROOT
from tests.test_imports import ALLOWED, FILES, JOINERS

SOURCES = [*FILES, *sorted((ROOT / "benchmarks").glob("*.py"))]
JUNK = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_is_one_concept(path):
    text = path.read_text()
    assert path.stem not in JUNK
    assert text.count("\n") <= 300
    assert path.name == "__init__.py" or ast.get_docstring(ast.parse(text)), "says nothing about itself"
    assert "noqa: E731" not in text, "a function has a name: def"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_fits_a_screen(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= 60}
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_one_assignment_a_line(path):
    """A pair may share a line; three things may not."""
    crowded = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple)
        if len(node.value.elts) > 2
    ]
    assert not crowded, f"lines {crowded}"


def test_no_process_is_told_by_its_type():
    """What differs between processes is a method of theirs."""
    for path in SOURCES:
        if path.parent.name == "sde_lib":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                assert "sde" not in ast.unparse(node.args[0]), f"{path}:{node.lineno}"


def public_functions(path):
    """The syntax trees of the functions and methods of a file that others may call."""
    tree = ast.parse(path.read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    nodes = (*tree.body, *(node for one in classes for node in one.body))
    return [node for node in nodes if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def is_experiment(path):
    return path.relative_to(ROOT).parts[0] == "configs" and path.parent.name != "configs"


@pytest.mark.parametrize("folder", [*ALLOWED, *JOINERS])
def test_public_functions_say_their_types(folder):
    """All arguments and results, but those of single experiments; whether they are true is what mypy checks."""
    untyped = []
    for path in (path for path in FILES if path.relative_to(ROOT).parts[0] == folder and not is_experiment(path)):
        for node in public_functions(path):
            arguments = [one for one in (*node.args.args, *node.args.kwonlyargs) if one.arg not in ("self", "cls")]
            if node.returns is None or not all(one.annotation for one in arguments):
                untyped.append(f"{name_of(path)}:{node.lineno} {node.name}")
    assert not untyped


def test_public_functions_say_what_they_are():
    """A method that another class documents under the same name says it there."""
    found = [(path, node) for path in SOURCES if not is_experiment(path) for node in public_functions(path)]
    said = {node.name for _, node in found if ast.get_docstring(node)}
    assert not [f"{name_of(path)}:{node.lineno} {node.name}" for path, node in found if node.name not in said]
