"""--mode=compare: numbers of one protocol share a column, others do not, and it is said why."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from configs.default import get_config
from engine import compared
from engine.experiment import Experiment
from modes import compare


def report(distance, nfe, n=100, fingerprint="aa", source="stats.npz", hash="11"):
    """report.json of a check."""
    return {
        "metrics": {f"frechet_n{n}": distance, f"kid_n{n}": distance / 100},
        "n": n,
        "extractor": {"name": "digits", "hash": hash, "preprocessing": "none"},
        "reference": {"source": source, "dataset": "d", "split": "train", "fingerprint": fingerprint, "n": 1500},
        "checkpoint": "30",
        "nfe": nfe,
        "sampling": {"method": "gddim"},
        "sde": {"name": "cld"},
    }


@pytest.fixture
def runs(tmp_path):
    """Two workdirs and a file: distances 4 and 2 of the first run, 3 of the second, 1 of the file."""
    for path, content in {
        "a/check/30/x": report(4.0, 5),
        "a/check/30/y": report(2.0, 20),
        "b/check/30/z": report(3.0, 10, source="elsewhere.npz"),
        "c": report(1.0, 10),
    }.items():
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "report.json").write_text(json.dumps(content))
    return [str(tmp_path / name) for name in ("a", "b", "c/report.json")]


def change(path, **changes):
    """Overwrites a report."""
    path.write_text(json.dumps(report(1.0, 10, **changes)))


def run(runs, folder):
    config = get_config()
    config.compare.runs = tuple(runs)
    compare.run(Experiment(config, result_folder=str(folder)))


def test_one_table_and_one_picture(runs, tmp_path, capsys):
    """The same images in another file of statistics are the same protocol."""
    run(runs, tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert [(row["run"], row["evaluations"], float(row["frechet_n100"])) for row in rows] == [
        (runs[0], "5", 4.0),
        (runs[0], "20", 2.0),
        (runs[1], "10", 3.0),
        (runs[2], "10", 1.0),
    ]
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["rows"][0]["kid_n100"] == 0.04
    assert "not comparable" not in capsys.readouterr().out
    assert len(np.unique(np.asarray(Image.open(tmp_path / "out" / "compare.png").convert("L")))) > 10


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n": 50}, "n: A 100, B 50"),
        ({"fingerprint": "bb"}, "reference.fingerprint"),
        ({"hash": "22"}, "extractor.hash"),
    ],
)
def test_other_protocols_have_other_columns(runs, tmp_path, changes, name):
    change(tmp_path / "c" / "report.json", **changes)
    table = compared.Table(compared.read(runs))
    assert [row["protocol"] for row in table.rows] == ["A", "A", "A", "B"]
    metrics = [{key for key in row if "_n" in key} for row in table.rows]
    assert metrics[0] == metrics[2] and not metrics[0] & metrics[3]
    assert "not comparable" in table.text() and name in table.text()


def test_lines_follow_the_evaluations_of_a_run(runs):
    lines = compared.Table(compared.read(runs)).lines()
    ((metric, of),) = lines.items()
    assert metric == "frechet_n100" and len(of) == 3
    np.testing.assert_array_equal(of[f"{runs[0]} 30 cld gddim"], [[5, 4], [20, 2]])


def test_bad_input_is_named(runs, tmp_path):
    with pytest.raises(FileNotFoundError, match="no report.json at .*nothing"):
        compared.read([str(tmp_path / "nothing")])
    (tmp_path / "other.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match="other.json is no report"):
        compared.read([str(tmp_path / "other.json")])
    with pytest.raises(ValueError, match="config.compare.runs is missing"):
        run([], tmp_path)
    with pytest.raises(ValueError, match="--result_folder is missing"):
        config = get_config()
        config.compare.runs = tuple(runs)
        compare.run(Experiment(config))
