"""2-D points as a picture."""

import os

import numpy as np

from linnet.files.atomic import atomic_write


def save_scatter(points: np.ndarray, path: str | os.PathLike) -> None:
    """Writes points (N, 2) or (panels, N, 2) as square scatter plots in a row (PNG). ImportError without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("pictures of points need the package matplotlib: pip install matplotlib") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = points.reshape(-1, *points.shape[-2:])
    side = 4 if len(panels) == 1 else 2
    figure, axes = plt.subplots(1, len(panels), figsize=(side * len(panels), side), dpi=120, squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        axis.scatter(panel[:, 0], panel[:, 1], s=1, linewidths=0)
        axis.set_aspect("equal")
        axis.set_axis_off()
    with atomic_write(path) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
    plt.close(figure)
