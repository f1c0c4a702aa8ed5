"""Reference statistics: our file format, and the layouts that other projects publish.

Ours is an .npz with format_version, n, mu (D,), sigma (D, D) float64, the extractor's name, hash and
preprocessing, data set, split, image rule (how images became uint8 of that size), fingerprint of the images
and, for kernel and neighbour metrics, features (m, D) of m images. Read besides:

    pool_3            features (N, 2048), score_sde
    mu, sigma         moments, pytorch-fid, TTUR and EDM; with mu_s, sigma_s ADM's reference batches
    arr_0, samples, images or train_images    uint8 images, as ADM's batches without moments: need an extractor

The last three say nothing about the network, so with Inception they count as "unverified", and any other
extractor refuses the moments and features among them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linnet.evaluation.collect import Collected, collect
from linnet.evaluation.features import Extractor
from linnet.evaluation.images import KEYS, iterate_images
from linnet.evaluation.moments import Moments
from linnet.files.atomic import atomic_write
from linnet.files.npz import open_npz

FORMAT_VERSION = 1
TEXTS = ("extractor", "extractor_hash", "preprocessing", "dataset", "split", "image_rule", "fingerprint")


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """n is None, and texts are empty, where a published or older file does not say. `source` is the file's name."""

    mu: np.ndarray
    sigma: np.ndarray
    n: int | None = None
    extractor: str = ""
    extractor_hash: str = ""
    preprocessing: str = ""
    dataset: str = ""
    split: str = ""
    image_rule: str = ""
    fingerprint: str = ""
    features: np.ndarray | None = None
    source: str = ""


def from_collected(
    collected: Collected, extractor: Extractor, *, dataset: str, split: str, image_rule: str, fingerprint: str = ""
) -> Statistics:
    """Statistics with full provenance from one pass over a data set; keeps the collected features.

    fingerprint: of the images, by which they are told from others of the same name.
    """
    return Statistics(
        mu=collected.gaussian.mu,
        sigma=collected.gaussian.sigma,
        n=collected.gaussian.n,
        extractor=extractor.name,
        extractor_hash=extractor.hash,
        preprocessing=extractor.preprocessing,
        dataset=dataset,
        split=split,
        image_rule=image_rule,
        fingerprint=fingerprint,
        features=collected.features,
    )


def save_statistics(path: str | os.PathLike, statistics: Statistics) -> None:
    """Writes our format, whole or not at all. Raises ValueError when n is unknown."""
    if statistics.n is None:
        raise ValueError("statistics without n cannot be saved: compute them from images")
    arrays = {name: np.asarray(getattr(statistics, name)) for name in ("n", "mu", "sigma", *TEXTS)}
    if statistics.features is not None:
        arrays["features"] = np.asarray(statistics.features, np.float32)
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, format_version=FORMAT_VERSION, **arrays)


def load_statistics(path: str | os.PathLike, extractor: Extractor | None = None) -> Statistics:
    """Reads any layout of the module's docstring; `extractor` serves files that hold images only.

    Raises FileNotFoundError, or ValueError saying what the file holds and what was looked for.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no statistics at {path}: build them with --mode=fid_stats")
    with open_npz(path) as arrays:
        for keys, reader in READERS:
            if all(key in arrays for key in keys):
                return reader(arrays, path, extractor)
        looked_for = "; ".join(" + ".join(keys) for keys, _ in READERS)
        raise ValueError(f"{path}: holds {', '.join(arrays)}; statistics hold one of: {looked_for}")


def _read_ours(arrays: Mapping, path: Path, extractor: Extractor | None) -> Statistics:
    version = int(arrays["format_version"])
    if version > FORMAT_VERSION:
        raise ValueError(f"{path}: format version {version} is newer than {FORMAT_VERSION}; update Linnet")
    texts = {name: str(arrays.get(name, "")) for name in TEXTS}
    features = arrays.get("features")
    mu, sigma = _moments(arrays, path)
    return Statistics(mu=mu, sigma=sigma, n=int(arrays["n"]), features=features, source=path.name, **texts)


def _read_pool_3(arrays: Mapping, path: Path, extractor: Extractor | None) -> Statistics:
    features = arrays["pool_3"].reshape(len(arrays["pool_3"]), -1)
    moments = Moments()
    for start in range(0, len(features), 4096):
        moments.update(features[start : start + 4096])
    n, mu, sigma = moments.finalize()
    return Statistics(mu=mu, sigma=sigma, n=n, features=features, source=path.name)


def _read_moments(arrays: Mapping, path: Path, extractor: Extractor | None) -> Statistics:
    mu, sigma = _moments(arrays, path)
    return Statistics(mu=mu, sigma=sigma, source=path.name)


def _read_images(arrays: Mapping, path: Path, extractor: Extractor | None) -> Statistics:
    if extractor is None:
        raise ValueError(f"{path}: holds images, not statistics; a feature extractor is needed to use it")
    collected = collect(extractor, iterate_images(path), keep=10_000)
    return from_collected(collected, extractor, dataset=path.name, split="", image_rule="as stored")


def _moments(arrays: Mapping, path: Path) -> tuple[np.ndarray, np.ndarray]:
    mu, sigma = np.asarray(arrays["mu"], np.float64), np.asarray(arrays["sigma"], np.float64)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise ValueError(f"{path}: mu {mu.shape} and sigma {sigma.shape} must be (D,) and (D, D)")
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError(f"{path}: holds numbers that are not finite; use other statistics or --mode=fid_stats")
    return mu, sigma


Reader = Callable[[Mapping, Path, Extractor | None], Statistics]
READERS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    (("format_version", "mu", "sigma"), _read_ours),
    (("pool_3",), _read_pool_3),
    (("mu", "sigma"), _read_moments),
    *(((key,), _read_images) for key in KEYS),
)


def check_compatible(statistics: Statistics, extractor: Extractor) -> str:
    """Returns "verified" if hash and preprocessing agree, "unverified" if the file does not say.

    Raises ValueError when they differ, and for a file that does not say unless the extractor is Inception and the
    means could be its.
    """
    source = statistics.source or "these statistics"
    if not statistics.extractor_hash:
        if extractor.name == "inception" and statistics.mu.min() < 0:
            raise ValueError(
                f"{source}: mean {statistics.mu.min():.3g} of a feature, where Inception's pooled features are never "
                "negative: made by another network or layer; use other statistics or --mode=fid_stats"
            )
        if extractor.name == "inception":
            return "unverified"
        raise ValueError(
            f"{source}: does not say which network made it, so only 'inception' may use it, not "
            f"{extractor.name!r}; build statistics with --mode=fid_stats"
        )
    if statistics.extractor_hash != extractor.hash:
        raise ValueError(
            f"{source}: made by {statistics.extractor!r} ({statistics.extractor_hash[:12]}), not by "
            f"{extractor.name!r} ({extractor.hash[:12]}); rebuild with --mode=fid_stats"
        )
    if statistics.preprocessing != extractor.preprocessing:
        raise ValueError(
            f"{source}: images were preprocessed as {statistics.preprocessing!r}, now as "
            f"{extractor.preprocessing!r}; rebuild with --mode=fid_stats"
        )
    return "verified"
