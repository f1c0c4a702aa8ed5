"""Reports of several runs in one table, in which numbers of different protocols have different columns.

The protocol of a distance is how many images it is of, in which features, against which reference: numbers that differ
in one of these say nothing about each other (arXiv:2104.11222). Protocols are told apart by content: of a network of
features by the hash of its parameters, of a reference by the fingerprint of its images where there is one.
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from linnet.engine import reported
from linnet.files.json_files import read_json

NAMELESS = ("source", "extractor")
"""What a report says of a reference and does not tell it from others: its file, and whether its network is known."""

MADE_BY = ("run", "checkpoint", "process", "sampler", "evaluations", "parameters")


def read(paths: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """[(run, report)] of workdirs, folders of samples and report.json files.

    FileNotFoundError where there is none; ValueError for a file that is no report of --mode=check or fid.
    """
    found = []
    for path in paths:
        inside = [file for _, file in reported.of_verb(path, "check", "report.json")]
        own = os.path.join(path, "report.json") if os.path.isdir(path) else path
        files = inside or [own]
        if not os.path.isfile(files[0]):
            raise FileNotFoundError(f"no report.json at {path}, nor below {path}/check: run --mode=check there first")
        for file in files:
            report = read_json(file, "make it anew by --mode=fid")
            if not isinstance(report, dict) or not {"metrics", "n", "reference"} <= report.keys():
                raise ValueError(f"{file} is no report of --mode=check or fid: it has no metrics, n and reference")
            found.append((os.path.normpath(path), report))
    return found


def protocol(report: dict[str, Any]) -> dict[str, Any]:
    """{name: value}: what two reports must have in common for their numbers to be put beside each other."""
    reference = {key: value for key, value in report["reference"].items() if key not in NAMELESS}
    if reference.get("fingerprint"):
        reference.pop("dataset")
    elif report["reference"].get("source"):
        reference["source"] = report["reference"]["source"]
    known = {"n": report["n"], "reference": reference}
    return known | {key: report[key] for key in ("extractor", "directions") if key in report}


class Table:
    """Rows of reports: what made the images, its protocol by a letter, and the metrics.

    Where there are several protocols, the names of metrics end in the letter of theirs.
    """

    def __init__(self, reports):
        texts = [json.dumps(protocol(report), sort_keys=True) for _, report in reports]
        distinct = list(dict.fromkeys(texts))
        self.protocols = {chr(ord("A") + i): json.loads(text) for i, text in enumerate(distinct)}
        self.rows = []
        for (run, report), text in zip(reports, texts, strict=True):
            letter = list(self.protocols)[distinct.index(text)]
            suffix = f" [{letter}]" if len(distinct) > 1 else ""
            metrics = {name + suffix: value for name, value in report["metrics"].items()}
            self.rows.append({"run": run} | reported.made_by(report, "") | {"protocol": letter} | metrics)
        self.columns = list(dict.fromkeys(name for row in self.rows for name in row))

    @property
    def differences(self) -> dict[str, Any]:
        """{name: {letter: value}} of what differs between the protocols."""
        flat = {letter: flattened(one) for letter, one in self.protocols.items()}
        names = dict.fromkeys(name for one in flat.values() for name in one)
        found = {name: {letter: one.get(name, "unknown") for letter, one in flat.items()} for name in names}
        return {name: values for name, values in found.items() if len(set(map(str, values.values()))) > 1}

    def text(self) -> str:
        """Columns for people, and a line for each way in which protocols differ."""
        cells = [self.columns] + [[shown(row.get(name, "")) for name in self.columns] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        if self.differences:
            lines.append("protocols differ, so that columns of different letters are not comparable:")
        for name, values in self.differences.items():
            lines.append(f"  {name}: " + ", ".join(f"{letter} {value}" for letter, value in values.items()))
        return "\n".join(lines)

    def csv(self) -> str:
        """All rows in full precision."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return file.getvalue()

    def lines(self) -> dict[str, Any]:
        """{metric: {run and sampler: (n, 2) of evaluations and the metric}} of the first metric of each protocol."""
        found: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for row in self.rows:
            metric = next(name for name in row if name not in (*MADE_BY, "protocol"))
            if isinstance(row["evaluations"], int):
                name = " ".join(filter(None, (row[key] for key in ("run", "checkpoint", "process", "sampler"))))
                found.setdefault(metric, {}).setdefault(name, []).append((row["evaluations"], row[metric]))
        return {metric: {name: np.array(sorted(of)) for name, of in lines.items()} for metric, lines in found.items()}


def shown(value: Any) -> str:
    """A number to four digits, anything else as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def flattened(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a.b": value} of nested dicts."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
