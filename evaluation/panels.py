"""Lines in panels, as one picture."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from linnet.evaluation.plotting import pyplot

COLUMNS = 2


def panels(found: Mapping[str, Mapping[str, np.ndarray]], xlabel: str, log_x: bool = False) -> bytes:
    """A PNG with a panel for each {title: {name: (n, 2) of x and y}}; b"" for none.

    Panels of positive values are on a logarithmic scale. ImportError without matplotlib.
    """
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
        axis.set_xlabel(xlabel, fontsize=8)
        if all((of[:, 1] > 0).all() for of in lines.values()):
            axis.set_yscale("log")
            plain_numbers(axis.yaxis)
        if log_x:
            axis.set_xscale("log")
            plain_numbers(axis.xaxis)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=7, which="both")
        axis.legend(fontsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def plain_numbers(axis: Any) -> None:
    """Numbers along a logarithmic axis as 20, in place of 2 x 10^1."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter())
