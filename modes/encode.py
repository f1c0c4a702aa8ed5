"""--mode=encode: images -> latents -> images along the probability flow, what is lost on the way, and a grid."""

import os
from typing import Any

import numpy as np

from linnet.data import transforms
from linnet.data.source import Drawn
from linnet.devices import processes
from linnet.engine.batches import batch_size, fixed_batches
from linnet.engine.experiment import Experiment
from linnet.engine.latents import Latents
from linnet.engine.parts import Parts, decisive
from linnet.engine.pictures import PAIRS_IN_ROW, as_stored, save_picture
from linnet.engine.progress import progress
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json
from linnet.sde_lib.base import LinearSDE

N = 32


def run(experiment: Experiment) -> None:
    """Writes latents.npz, encode.json and encode.png (N pairs: image, reconstruction) to the folder of the mode.

    Of config.eval.num_images images (N where that is 0), drawn by the seed, in batches dealt out to the processes.
    """
    config = experiment.config
    source = Drawn(experiment.evaluated(), config.eval.num_images or N, config.seed)
    total = len(source)
    size = batch_size(config.eval.batch_size, total)
    folder = experiment.results("encode")
    check_writable(os.path.join(folder, "encode.json"))
    latents = Latents(config, experiment.sde, experiment.carried, experiment.sampler, experiment.trained.params)
    parts = Parts(folder, decisive(config, experiment.trained, source, total, size), -(-total // size))
    batches = fixed_batches(source, size, total, parts.mine, config.data.num_workers)
    for k, batch, kept in progress(batches, f"encoding {total} images", len(parts.mine)):
        parts.save(k, there_and_back(latents, batch, kept))
    found = parts.join()
    if processes.is_first():
        report(experiment, found, folder)
        parts.remove()


def there_and_back(latents: Latents, batch: dict[str, Any], kept: int) -> dict[str, Any]:
    """Images, latents and reconstructions of the first `kept`, evaluations of the slowest image each way."""
    u_T, nfe_encode = latents.encode(batch)
    x, nfe_decode = latents.decode(u_T, batch)
    return {
        "images": batch["image"][:kept],
        "u_T": u_T[:kept],
        "x": x[:kept],
        "nfe_encode": nfe_encode,
        "nfe_decode": nfe_decode,
    }


def report(experiment: Experiment, found: dict[str, Any], folder: str) -> None:
    """Prints and writes what was found: {name: [array of each batch]}."""
    config = experiment.config
    images, u_T, x = (np.concatenate(found[name]) for name in ("images", "u_T", "x"))
    errors = reconstruction_errors(images, x, config.data.centered) | {
        "n": len(images),
        "split": config.eval.image_split,
        "latent_std": latent_std(u_T, experiment.sde),
        "nfe_encode": int(np.max(found["nfe_encode"])),
        "nfe_decode": int(np.max(found["nfe_decode"])),
        "tolerance": config.eval.flow_tolerance,
        **experiment.provenance(),
    }
    with atomic_write(os.path.join(folder, "latents.npz")) as file:
        np.savez_compressed(file, u_T=u_T, images=images)
    write_json(os.path.join(folder, "encode.json"), errors)
    shown = experiment.recipe.pictures(images[:N])
    pairs = np.stack([shown, experiment.stored(x[:N])], axis=1).reshape(-1, *shown.shape[1:])
    save_picture(pairs, os.path.join(folder, "encode.png"), columns=2 * PAIRS_IN_ROW)
    words = " ".join(
        f"{key}={value}"
        for key, value in errors.items()
        if key not in ("parameters", "seed", "params", "latents", *experiment.processes)
    )
    print(f"{words} | everything in {folder}")


def reconstruction_errors(images: np.ndarray, x: np.ndarray, centered: bool) -> dict[str, float]:
    """Root mean square and largest error in the range of the model; of images, pixels that changed grey level."""
    gap = x - np.asarray(transforms.to_model_range(images, centered=centered))
    errors = {"rms_error": float(np.sqrt((gap**2).mean())), "max_error": float(np.abs(gap).max())}
    if images.dtype == np.uint8:
        errors["changed_pixels"] = float((as_stored(x, centered) != images).mean())
    return errors


def latent_std(u_T: np.ndarray, sde: LinearSDE) -> list[float]:
    """Root mean square of each of the k components of latents over that of the prior: 1 where they match."""
    parts = np.split(u_T, sde.k, axis=-1)
    return [round(float(np.sqrt((p**2).mean()) / std), 4) for p, std in zip(parts, sde.prior_std(), strict=True)]
