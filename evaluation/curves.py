"""Curves over one axis as a picture."""

import os
from collections.abc import Mapping

import numpy as np

from linnet.evaluation.plotting import pyplot
from linnet.files.atomic import atomic_write


def save_curves(path: str | os.PathLike, x: np.ndarray, panels: Mapping[str, np.ndarray], x_label: str) -> None:
    """Writes a PNG with one panel per entry {title: values (N,)} over x (N,), values on a logarithmic scale.

    Values that are not positive are left out. ImportError without matplotlib.
    """
    plt = pyplot("curves")
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3), dpi=120, layout="constrained")
    for axis, (title, values) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        axis.semilogy(x, np.where(values > 0, values, np.nan), linewidth=1)
        axis.set(title=title, xlabel=x_label)
        axis.grid(alpha=0.3)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    plt.close(figure)
