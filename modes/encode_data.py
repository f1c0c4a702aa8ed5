"""--mode=encode_data: the pictures of a data set as latents of an autoencoder, in one .npz (data/latents.py)."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from linnet.data import WORDS, NoSplit, pipeline
from linnet.data.source import Source
from linnet.devices import processes
from linnet.engine import autoencoder
from linnet.engine.autoencoder import BATCH, Autoencoder
from linnet.engine.experiment import Experiment
from linnet.engine.progress import progress
from linnet.files.atomic import atomic_write, check_writable


def run(experiment: Experiment) -> None:
    """Writes config.data.latents: every split that there is, and scale and shift of the latents.

    scale and shift are those that are published with the autoencoder, else 1 / standard deviation and mean of the
    training latents. ValueError where that file exists, and where the autoencoder does not take the pictures.
    """
    data = experiment.config.data
    if not data.latents:
        raise ValueError("config.data.latents is missing: the .npz to write")
    if os.path.exists(data.latents):
        raise ValueError(f"config.data.latents={data.latents!r} exists: delete it or name another file")
    check_writable(data.latents)
    coder = autoencoder.load(data)
    training = experiment.dataset("train")
    if len(training.shape) != 3:
        raise ValueError("--mode=encode_data is for images, and config.data.dataset=points has none")
    latent = coder.shape_of("encode", training.shape, np.uint8)
    if coder.shape_of("decode", latent, np.float32) != tuple(training.shape):
        raise ValueError(
            f"config.data.autoencoder={data.autoencoder!r} does not give pictures of {training.shape} back"
        )
    arrays: dict[str, np.ndarray] = {}
    seen: set[str] = set()
    for split in WORDS:
        arrays |= encoded(experiment.dataset, coder, split, seen, data.num_workers)
    if not processes.is_first():
        return
    z = arrays["train_latents"]
    scale = 1 / z.std(dtype=np.float64) if coder.scale is None else coder.scale
    shift = z.mean(dtype=np.float64) if coder.shift is None else coder.shift
    content: dict[str, Any] = arrays | {"scale": scale, "shift": shift}
    content |= {"autoencoder": coder.hash, "classes": training.class_names}
    with atomic_write(data.latents) as file:
        np.savez(file, **content)
    sizes = ", ".join(f"{len(a)} {name}" for name, a in arrays.items() if name.endswith("latents"))
    print(f"{sizes} of {'x'.join(map(str, latent))}, scale {scale:.4g}, shift {shift:.4g}: {data.latents}")


def encoded(
    dataset: Callable[[str], Source], coder: Autoencoder, split: str, seen: set[str], num_workers: int
) -> dict[str, np.ndarray]:
    """{"SPLIT_latents" (N, h, w, c) float32, with classes "SPLIT_labels" (N,)}; {} where there is no such split.

    seen: fingerprints of the splits before, of which one may stand in for this.
    """
    try:
        source = dataset(split)
    except NoSplit:
        return {}
    fingerprint = source.fingerprint()
    processes.check_same("their autoencoder or images", coder.hash, fingerprint)
    if fingerprint in seen:
        return {}
    seen.add(fingerprint)
    mine = processes.dealt(range(-(-len(source) // BATCH)))
    batches = pipeline.one_pass(source, BATCH, num_workers=num_workers, numbers=mine)
    found = [
        {"latents": coder.encode(batch["image"]), "labels": batch["label"], "index": batch["index"]}
        for batch in progress(batches, f"encoding {len(source)} {split} images", len(mine))
    ]
    whole = joined([part for part in processes.gather(joined(found)) if part])
    order = np.argsort(whole["index"])
    names = ("latents", "labels") if source.num_classes else ("latents",)
    return {f"{split}_{name}": whole[name][order] for name in names}


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows of all parts; {} of none."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
