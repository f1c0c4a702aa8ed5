"""The commands that README.md and docs/ show are understood: every flag, key and value of them exists."""

import json
import re
import shlex

import pytest
from absl.testing import flagsaver

from linnet import command
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "results").glob("*.md"))]


def commands(page):
    """The arguments of each `python main.py` of the page's code blocks, but of those that leave something out (...)."""
    for block in re.findall(r"^```\w*\n(.*?)^```$", page.read_text().replace("\\\n", ""), re.DOTALL | re.MULTILINE):
        variables = dict(re.findall(r'^(\w+)="(.*)"$', block, re.MULTILINE))
        for line in re.findall(r"python3? (main\.py .*)", block):
            text = re.sub(r"\$(\w+)", lambda found, known=variables: known.get(found[1], found[0]), line)
            if "..." not in text:
                yield shlex.split(text, comments=True)


SHOWN = {page: list(commands(page)) for page in PAGES}


def understood(arguments):
    with flagsaver.flagsaver():
        return command.parse_flags(arguments)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which every training that is shown left its config.json."""
    folder = tmp_path_factory.mktemp("trained")
    for arguments in (one for shown in SHOWN.values() for one in shown if "--mode=train" in one):
        run = next(text.partition("=")[2] for text in arguments if text.startswith("--workdir="))
        if run.startswith("runs/"):
            (folder / run).mkdir(parents=True, exist_ok=True)
            (folder / run / "config.json").write_text(json.dumps(understood(arguments).to_dict()))
    return folder


@pytest.mark.parametrize("page", [page for page, shown in SHOWN.items() if shown], ids=lambda page: page.name)
def test_commands_are_understood(page, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    for arguments in SHOWN[page]:
        try:
            understood(arguments)
        except SystemExit:
            pytest.fail(f"{shlex.join(arguments)}\n{capsys.readouterr().err}")
