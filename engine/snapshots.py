"""The averages that the checkpoints of a run hold, and others made of them (see training.power_averages)."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from linnet.engine.progress import progress
from linnet.interop import own
from linnet.training.power_averages import combination

MOST = 0.1
"""The residual above which an average would be one of other weights than it is called after."""


class Averages:
    """Those of the power-function kind in the checkpoints of `folder`, up to the newest.

    kept: (width, step) of each; time: the newest step. ValueError where training kept none, or not the same widths.
    """

    def __init__(self, folder):
        self.steps = sorted(own.steps(Path(folder)), key=lambda step: int(step.name))
        stored = [own.stored(step) for step in self.steps]
        widths = {tuple(config.get("training", {}).get("ema_stds", ())) for config in stored}
        if not any(widths):
            raise ValueError(
                f"the checkpoints in {folder} hold no averages to make others of: they are kept where training has "
                '--config.training.ema_stds="(0.05,0.1)" from its first step on'
            )
        if len(widths) > 1:
            raise ValueError(f"the checkpoints in {folder} hold averages of different widths: {sorted(widths)}")
        (self.widths,) = widths
        rates = stored[-1]["model"]["ema_rate"]
        self.first = len(rates) if isinstance(rates, list) else 1
        self.kept = [(std, int(step.name)) for step in self.steps for std in self.widths]
        self.time = int(self.steps[-1].name)

    def combination(self, std: float) -> tuple[np.ndarray, float]:
        """(weights, residual) of the average of this width. ValueError where the kept ones are too few for it."""
        weights, residual = combination(self.kept, std, self.time)
        if residual > MOST:
            raise ValueError(
                f"config.eval.ema_std={std}: the {len(self.kept)} averages in the checkpoints differ from it by "
                f"{residual:.0%} of its weights; keep more by a smaller config.training.snapshot_freq, or choose a "
                f"width nearer to {self.widths}"
            )
        return weights, residual

    def parameters(self, weights: np.ndarray) -> list[dict[str, Any]]:
        """The parameters, float32, of each row of `weights` (m, n): one pass over the checkpoints."""
        totals = None
        for i, step in enumerate(progress(self.steps, "checkpoints")):
            averages = own.part(step, ("ema",))
            for j in range(len(self.widths)):
                tree = averages[str(self.first + j)]
                column = weights[:, i * len(self.widths) + j]
                terms = [jax.tree.map(lambda a, w=w: w * np.asarray(a, np.float64), tree) for w in column]
                totals = terms if totals is None else jax.tree.map(np.add, totals, terms)
        return jax.tree.map(lambda a: a.astype(np.float32), totals)
