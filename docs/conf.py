"""The site: `make docs` writes build/docs. Pages are Markdown (MyST), the interface comes from the docstrings."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import linnet

project = "Linnet"
author = "The Linnet authors"
copyright = "The Linnet authors, Apache-2.0"
release = linnet.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Linnet {release}"
exclude_patterns = ["results/*.json"]
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "description"
autodoc_mock_imports = ["torch", "diffusers", "tensorflow"]
suppress_warnings = ["myst.xref_missing"]


def as_markup(line):
    """A line of a docstring, which is plain text with `code`, as reStructuredText."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(f"`{p}`" if p.startswith("`") else re.sub(r"([*|_\\])", r"\\\1", p) for p in parts)


def plain_docstring(app, what, name, obj, options, lines):
    """Indented blocks are formulas and tables: they are kept as they stand; other lines are plain text."""
    shown = []
    literal = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not literal:
            shown += ["", "::", ""]
        if not indented and literal and line:
            shown.append("")
        literal = indented or (literal and not line)
        shown.append(line if literal else as_markup(line))
    lines[:] = shown


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_docstring)


def write_interface(folder):
    """One page for each folder of the library, with all its files."""
    root = folder.parent.parent
    folder.mkdir(exist_ok=True)
    for name in ("sde_lib", "models", "samplers", "training", "data", "evaluation", "interop"):
        files = sorted(path.relative_to(root).with_suffix("") for path in (root / name).rglob("*.py"))
        modules = [".".join(("linnet", *path.parts)).removesuffix(".__init__") for path in files]
        text = [f"linnet.{name}", "=" * 40, ""]
        for module in sorted(modules):
            text += [module, "-" * 60, "", f".. automodule:: {module}", ""]
        (folder / f"{name}.rst").write_text("\n".join(text))


write_interface(Path(__file__).resolve().parent / "api")


def write_tutorial(source):
    """The page of a Python file in percent format: its text, and between it its code."""
    first, *cells = re.split(r"^# %%(.*)\n", source.read_text(), flags=re.MULTILINE)
    pages = [first]
    for kind, cell in zip(cells[::2], cells[1::2], strict=True):
        text = re.sub(r"^# ?", "", cell, flags=re.MULTILINE)
        pages.append(text if "[markdown]" in kind else f"```python\n{cell.strip()}\n```\n")
    source.with_suffix(".md").write_text("\n".join(pages))


write_tutorial(Path(__file__).resolve().parent / "tutorial.py")
