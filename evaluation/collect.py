"""One pass of a feature extractor over batches of images: moments of all, features and logits of some."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from linnet.evaluation.features import Extractor
from linnet.evaluation.moments import Gaussian, Moments


@dataclass(frozen=True, kw_only=True)
class Collected:
    """gaussian: moments of all n images; features (m, D) and logits (m, K) or None of m = min(n, keep)."""

    gaussian: Gaussian
    features: np.ndarray
    logits: np.ndarray | None


def collect(extractor: Extractor, batches: Iterable[np.ndarray], keep: int = 50_000, seed: int = 0) -> Collected:
    """Runs `extractor` over uint8 (B, H, W, C) batches.

    The kept vectors are a uniform choice without replacement that depends on `seed` and on the order of
    images, not on the batch size; they stay in order. float32. Raises ValueError on fewer than two images.
    """
    moments = Moments()
    random = np.random.default_rng(seed)
    kept: list[dict[str, np.ndarray]] = []
    for batch in batches:
        outputs = extractor(batch)
        moments.update(outputs["features"])
        kept.append({**outputs, "priority": random.random(len(batch))})
        if sum(len(part["priority"]) for part in kept) > 2 * keep:
            kept = [_lowest_priorities(kept, keep)]
    gaussian = moments.finalize()
    chosen = _lowest_priorities(kept, keep)
    return Collected(gaussian=gaussian, features=chosen["features"], logits=chosen.get("logits"))


def _lowest_priorities(parts: list[dict[str, np.ndarray]], keep: int) -> dict[str, np.ndarray]:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    chosen = np.sort(np.argsort(joined["priority"])[:keep])
    return {name: array[chosen] for name, array in joined.items()}
