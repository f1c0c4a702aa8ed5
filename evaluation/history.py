"""What a training measured as curves over its steps."""

import io
from collections.abc import Mapping, Sequence

import numpy as np

from linnet.evaluation.plotting import pyplot

COLUMNS = 2


def curves(records: Sequence[Mapping[str, float]], panels: Mapping[str, Sequence[str]]) -> bytes:
    """A PNG with a panel for each {title: names} of which anything was measured; b"" for nothing.

    records: {"step": s, name: value}. Positive values are on a logarithmic scale. ImportError without matplotlib.
    """
    found = {title: {name: series(records, name) for name in names} for title, names in panels.items()}
    found = {title: {name: of for name, of in lines.items() if len(of)} for title, lines in found.items()}
    found = {title: lines for title, lines in found.items() if lines}
    if not found:
        return b""
    plt = pyplot("curves")
    rows = -(-len(found) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(9, 2.6 * rows), dpi=100, layout="constrained", squeeze=False)
    for axis in axes.ravel()[len(found) :]:
        axis.axis("off")
    for axis, (title, lines) in zip(axes.ravel(), found.items(), strict=False):
        for name, of in lines.items():
            axis.plot(*of.T, linewidth=1, label=name, marker="." if len(of) < 20 else "")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        if all((of[:, 1] > 0).all() for of in lines.values()):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def series(records: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    """(n, 2): step and value of the records that have it, the finite ones."""
    values = [(record["step"], record[name]) for record in records if isinstance(record.get(name), int | float)]
    array = np.array(values, float).reshape(-1, 2)
    return array[np.isfinite(array[:, 1])]
