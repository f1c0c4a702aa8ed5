"""What a data set says about the settings of a model: spread, largest distance, symmetry, classes.

    std          of all numbers about their one mean: sigma_data of EDM (Karras et al., arXiv:2206.00364)
    distance     the largest Euclidean distance between two examples: sigma_max of VE (Song, Ermon, arXiv:2006.09011,
                 technique 1), over at most PAIRED examples, evenly chosen
    asymmetry    of mirroring: |m|^2 / E|d|^2 with d = x - mirrored x and m = E d, less what chance gives; 0 where
                 mirrored images are as likely in the mean, 1 where all differ from their mirror image alike

All in the units of the stored numbers: grey levels of images, coordinates of points.
"""

from typing import NamedTuple

import numpy as np

from linnet.data.pipeline import one_pass
from linnet.data.source import Source

BATCH = 256
PAIRED = 4096
PAIRED_BYTES = 2**30
"""Fewer examples than PAIRED are compared where they would take more memory than this, as float32."""

ROWS = 512


class Summary(NamedTuple):
    """counts (num_classes,) of examples by class; asymmetry is None for points; paired: examples of `distance`."""

    mean: float
    std: float
    distance: float
    paired: int
    asymmetry: float | None
    counts: np.ndarray


def summarize(source: Source, num_workers: int = 0) -> Summary:
    """The summary of all examples, in float64 but for the distances."""
    n = 0
    total = 0.0
    squares = 0.0
    differences = 0.0
    dimensions = int(np.prod(source.shape))
    mirror, counts = np.zeros(source.shape), np.zeros(max(source.num_classes, 1), int)
    paired = min(PAIRED, max(2, PAIRED_BYTES // (4 * dimensions)))
    chosen = np.unique(np.linspace(0, len(source) - 1, paired).astype(int))
    kept = []
    for batch in one_pass(source, BATCH, num_workers=num_workers):
        x = batch["image"].astype(np.float64)
        n += len(x)
        total += x.sum()
        squares += np.square(x).sum()
        counts += np.bincount(batch["label"], minlength=len(counts))
        kept.append(batch["image"][np.isin(batch["index"], chosen)])
        if x.ndim == 4:
            d = x - x[:, :, ::-1]
            mirror += d.sum(0)
            differences += np.square(d).sum()
    size = n * dimensions
    mean = total / size
    return Summary(
        mean=mean,
        std=float(np.sqrt(max(squares / size - mean**2, 0.0))),
        distance=largest_distance(np.concatenate(kept).reshape(len(chosen), -1)),
        paired=len(chosen),
        asymmetry=asymmetry(mirror, differences, n) if len(source.shape) == 3 else None,
        counts=counts[: source.num_classes],
    )


def largest_distance(x: np.ndarray) -> float:
    """The largest Euclidean distance between two rows of x (n, D)."""
    x = x.astype(np.float32)
    x -= x.mean(0)
    squares = np.square(x).sum(1)
    largest = 0.0
    for begin in range(0, len(x), ROWS):
        rows = slice(begin, begin + ROWS)
        largest = max(largest, float((squares[rows, None] + squares - 2 * x[rows] @ x.T).max()))
    return float(np.sqrt(largest))


def asymmetry(mirror: np.ndarray, differences: float, n: int) -> float:
    """mirror: the sum of d over n images; differences: the sum of |d|^2. 0 where all images are their mirror images.

    For independent d, E|sum d|^2 = n E|d|^2 + n (n - 1) |m|^2.
    """
    if differences == 0 or n < 2:
        return 0.0
    share = (np.square(mirror).sum() - differences) / (n * (n - 1)) / (differences / n)
    return float(np.clip(share, 0.0, 1.0))
