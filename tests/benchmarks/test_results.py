"""The numbers in docs/results are those of its data."""

import json
import runpy
from pathlib import Path

import pytest

from benchmarks.shown import summary

RESULTS = Path(__file__).parents[2] / "docs" / "results"
ROWS = json.loads((RESULTS / "work_precision.json").read_text())


@pytest.mark.parametrize("line", list(summary(ROWS)))
def test_the_table_of_work_and_precision_is_its_json(line):
    assert line in (RESULTS / "work_precision.md").read_text().splitlines()


def test_benchmarks_run_as_modules():
    """As python -m runs them: they are no part of linnet, so Python itself finds their code."""
    assert "main" in runpy.run_module("benchmarks.one_checkpoint", run_name="shown")
