"""2-D points as a picture, over the data they should look like."""

import os

import numpy as np

from linnet.evaluation.plotting import pyplot
from linnet.files.atomic import atomic_write

MARGIN = 1.1
FARTHEST = 2.0
"""Axes show no more than this many times the reach of the data: single points that went astray do not shrink it."""


def save_scatter(points: np.ndarray, path: str | os.PathLike, data: np.ndarray | None = None) -> None:
    """Writes points (N, 2) or (panels, N, 2) as square scatter plots in a row (PNG), with one scale for all.

    data (M, 2): drawn in grey below the points. ImportError without matplotlib.
    """
    plt = pyplot("pictures of points")
    panels = points.reshape(-1, *points.shape[-2:])
    side = 4 if len(panels) == 1 else 2
    reach = limit(panels, data)
    figure, axes = plt.subplots(1, len(panels), figsize=(side * len(panels), side), dpi=120, squeeze=False, sharey=True)
    for axis, panel in zip(axes[0], panels, strict=True):
        if data is not None:
            axis.scatter(data[:, 0], data[:, 1], s=1, linewidths=0, color="0.8", label="data")
        axis.scatter(panel[:, 0], panel[:, 1], s=1, linewidths=0, color="C0", label="samples")
        axis.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xlabel="$x_1$")
        axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("$x_2$")
    if data is not None:
        axes[0, 0].legend(loc="upper right", fontsize=7, markerscale=4)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
    plt.close(figure)


def limit(panels: np.ndarray, data: np.ndarray | None) -> float:
    """Half the side of the square that is shown: all points, but not much more than the data needs."""
    wanted = np.abs(panels).max()
    if data is not None:
        own = np.abs(data).max()
        wanted = np.clip(wanted, own, FARTHEST * own)
    return float(MARGIN * wanted)
