"""Scores of two sets of images as a picture."""

import os
from collections.abc import Mapping

import numpy as np

from linnet.evaluation.plotting import pyplot
from linnet.files.atomic import atomic_write

BINS = 40
COLUMNS = 4


def save_histograms(
    path: str | os.PathLike, panels: Mapping[str, tuple[np.ndarray, np.ndarray]], names: tuple[str, str]
) -> None:
    """Writes a PNG with one panel per entry {title: (scores (N,), scores (M,))}, as densities over one axis.

    names: of the two sets. ImportError without matplotlib.
    """
    plt = pyplot("histograms")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3 * columns, 2.4 * rows), dpi=100, layout="constrained", squeeze=False
    )
    for axis in axes.ravel()[len(panels) :]:
        axis.axis("off")
    for axis, (title, sets) in zip(axes.ravel(), panels.items(), strict=False):
        low, high = np.percentile(np.concatenate(sets), (0, 99.5))
        edges = np.linspace(low, high, BINS + 1)
        for name, scores in zip(names, sets, strict=True):
            axis.hist(np.clip(scores, edges[0], edges[-1]), edges, density=True, alpha=0.6, label=name)
        axis.set_title(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.set_yticks([])
    axes[0, 0].legend(fontsize=7)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    plt.close(figure)
