"""What a training measured as curves over its steps."""

from collections.abc import Mapping, Sequence

import numpy as np

from linnet.evaluation.panels import panels


def curves(records: Sequence[Mapping[str, float]], titles: Mapping[str, Sequence[str]]) -> bytes:
    """A PNG with a panel for each {title: names} of which anything was measured; b"" for nothing.

    records: {"step": s, name: value}. Positive values are on a logarithmic scale. ImportError without matplotlib.
    """
    found = {title: {name: series(records, name) for name in names} for title, names in titles.items()}
    found = {title: {name: of for name, of in lines.items() if len(of)} for title, lines in found.items()}
    found = {title: lines for title, lines in found.items() if lines}
    return panels(found, "step")


def series(records: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    """(n, 2): step and value of the records that have it, the finite ones."""
    values = [(record["step"], record[name]) for record in records if isinstance(record.get(name), int | float)]
    array = np.array(values, float).reshape(-1, 2)
    return array[np.isfinite(array[:, 1])]
