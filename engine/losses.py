"""The training loss of images that are evaluated, by time, for --mode=eval."""

from typing import Any

import numpy as np

from linnet.data import transforms
from linnet.devices import parallel
from linnet.randomness import Purpose, key_for
from linnet.training.conditions import make_conditions

BINS = 10


class Losses:
    """The loss of config.training.objective of each image at one time; times are even over the positions < total."""

    def __init__(self, config, objective, total):
        self.objective = objective
        conditions = make_conditions(config)

        def losses(params, batch, fixed):
            times = key_for(config.seed, Purpose.EVALUATION_TIMES)
            t, weights = objective.weighted_times(objective.init(), times, batch["position"], total)
            x = transforms.to_model_range(batch["image"], centered=config.data.centered)
            keys = key_for(config.seed, Purpose.EVALUATION, batch["index"])
            condition = conditions(batch, x, None)
            found = objective.bind(fixed).losses(params, x, keys, t, train=False, condition=condition)
            return t, found, weights

        self._losses, self._fixed = parallel.parallel(losses), parallel.replicate(objective.fixed)

    def measure(self, params: dict[str, Any], batch: dict[str, Any], kept: int) -> dict[str, np.ndarray]:
        """{"t", "loss", "weight": (kept,)} of the first `kept` images of a sharded batch."""
        found = (parallel.unshard(a)[:kept] for a in self._losses(params, batch, self._fixed))
        return dict(zip(("t", "loss", "weight"), found, strict=True))

    def finish(self, found: dict[str, Any]) -> dict[str, Any]:
        """Fields of the report: the mean, and the mean in each of BINS equal parts of the times, None in empty ones.

        found: {name: [array of each batch]} of what was measured.
        """
        t, losses, weights = (np.concatenate(found[name]) for name in ("t", "loss", "weight"))
        edges = np.linspace(self.objective.t_min, self.objective.t_max, BINS + 1)
        member = np.clip(np.digitize(t, edges) - 1, 0, BINS - 1)
        bins = [
            {
                "t": edges[i : i + 2].round(5).tolist(),
                "loss": float(losses[member == i].mean()) if n else None,
                "n": int(n),
            }
            for i, n in enumerate(np.bincount(member, minlength=BINS))
        ]
        return {"loss": float((losses * weights).mean()), "loss_bins": bins}
