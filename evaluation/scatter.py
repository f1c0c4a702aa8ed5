"""2-D points as a picture."""

import os

import numpy as np

from evaluation.atomic import atomic_write


def save_scatter(points: np.ndarray, path: str | os.PathLike) -> None:
    """Writes points (N, 2) as a square scatter plot (PNG). ImportError without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("pictures of points need the package matplotlib: pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(4, 4), dpi=120)
    axes.scatter(points[:, 0], points[:, 1], s=1, linewidths=0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
    plt.close(figure)
