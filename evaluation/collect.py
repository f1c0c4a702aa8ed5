"""One pass of a feature extractor over images: moments of all, features and logits of some.

The images are numbered, so that several processes may each see some of them (devices.processes): what is found is that
of one process that sees all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from linnet.devices import processes
from linnet.evaluation.features import Extractor
from linnet.evaluation.moments import Gaussian, Moments


@dataclass(frozen=True, kw_only=True)
class Collected:
    """gaussian: moments of all n images; features (m, D) and logits (m, K) or None of m = min(n, keep)."""

    gaussian: Gaussian
    features: np.ndarray
    logits: np.ndarray | None


class Collector:
    """add: counts the images first, first + 1, ...; finish: what was found of those of all processes.

    The kept vectors are a uniform choice without replacement that depends on `seed` and on the numbers of the images
    alone; they are in the order of these numbers.
    """

    def __init__(self, extractor: Extractor, keep: int = 50_000, seed: int = 0):
        self.extractor, self.keep = extractor, keep
        self.seed = seed
        self._moments = Moments()
        self._kept: list[dict[str, np.ndarray]] = []

    def add(self, first: int, images: np.ndarray) -> None:
        """Counts uint8 images (B, H, W, C)."""
        outputs = self.extractor(images)
        self._moments.update(outputs["features"])
        random = np.random.Generator(np.random.PCG64(self.seed).advance(first))
        number = first + np.arange(len(images))
        self._kept.append({**outputs, "number": number, "priority": random.random(len(images))})
        if sum(len(part["priority"]) for part in self._kept) > 2 * self.keep:
            self._kept = [_lowest_priorities(self._kept, self.keep)]

    def finish(self) -> Collected:
        """To be called in all processes. ValueError for fewer than two images."""
        gaussian = self._moments.of_all().finalize()
        mine = _lowest_priorities(self._kept, self.keep) if self._kept else {}
        chosen = _lowest_priorities([part for part in processes.gather(mine) if part], self.keep)
        return Collected(gaussian=gaussian, features=chosen["features"], logits=chosen.get("logits"))


def collect(extractor: Extractor, batches: Iterable[np.ndarray], keep: int = 50_000, seed: int = 0) -> Collected:
    """What a Collector finds in uint8 (B, H, W, C) batches of all images, of which each process counts its share."""
    collector = Collector(extractor, keep, seed)
    for first, images in processes.dealt_rows(batches):
        collector.add(first, images)
    return collector.finish()


def _lowest_priorities(parts: list[dict[str, np.ndarray]], keep: int) -> dict[str, np.ndarray]:
    """The `keep` rows of the lowest priorities, by number."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    lowest = np.argsort(joined["priority"])[:keep]
    chosen = lowest[np.argsort(joined["number"][lowest])]
    return {name: array[chosen] for name, array in joined.items()}
