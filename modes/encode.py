"""--mode=encode: images -> latents -> images along the probability flow, what is lost on the way, and a grid."""

import os

import numpy as np

from linnet.data import transforms
from linnet.engine.batches import batch_size, fixed_batches, number_of_images
from linnet.engine.latents import Latents
from linnet.engine.pictures import PAIRS_IN_ROW, as_stored, save_picture
from linnet.engine.progress import progress
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json

N = 32


def run(experiment):
    """Writes latents.npz, encode.json and encode.png (N pairs: image, reconstruction) to the folder of the mode.

    Of config.eval.num_images images, in batches; of N where that is 0.
    """
    config, source = experiment.config, experiment.evaluated()
    total = number_of_images(source, config.eval.num_images, N)
    batches = fixed_batches(source, batch_size(config.eval.batch_size, total), total, config.data.num_workers)
    folder = experiment.results("encode")
    check_writable(os.path.join(folder, "encode.json"))
    latents = Latents(config, experiment.sde, experiment.carried, experiment.sampler, experiment.trained.params)
    found = there_and_back(latents, progress(batches, f"encoding {total} images"))
    images, u_T, x, nfe_encode, nfe_decode = found
    errors = reconstruction_errors(images, x, config.data.centered) | {
        "n": len(images),
        "split": config.eval.image_split,
        "latent_std": latent_std(u_T, experiment.sde),
        "nfe_encode": nfe_encode,
        "nfe_decode": nfe_decode,
        "tolerance": config.eval.flow_tolerance,
        **experiment.processes,
        "checkpoint": experiment.trained.name,
        "parameters": experiment.trained.hash,
    }
    with atomic_write(os.path.join(folder, "latents.npz")) as file:
        np.savez_compressed(file, u_T=u_T, images=images)
    write_json(os.path.join(folder, "encode.json"), errors)
    pairs = np.stack([images[:N], as_stored(x[:N], config.data.centered)], axis=1).reshape(-1, *images.shape[1:])
    save_picture(pairs, os.path.join(folder, "encode.png"), columns=2 * PAIRS_IN_ROW)
    shown = " ".join(
        f"{key}={value}" for key, value in errors.items() if key not in ("parameters", *experiment.processes)
    )
    print(f"{shown} | everything in {folder}")


def there_and_back(latents, batches):
    """(images, latents, reconstructions, evaluations of the slowest image each way) of the `fixed_batches`."""
    found, evaluations = [], []
    for batch, kept in batches:
        u_T, nfe_encode = latents.encode(batch)
        x, nfe_decode = latents.decode(u_T, batch)
        found.append([values[:kept] for values in (batch["image"], u_T, x)])
        evaluations.append((nfe_encode, nfe_decode))
    return *map(np.concatenate, zip(*found, strict=True)), *map(max, zip(*evaluations, strict=True))


def reconstruction_errors(images, x, centered):
    """Root mean square and largest error in the range of the model; of images, pixels that changed grey level."""
    gap = x - np.asarray(transforms.to_model_range(images, centered=centered))
    errors = {"rms_error": float(np.sqrt((gap**2).mean())), "max_error": float(np.abs(gap).max())}
    if images.ndim == 4:
        errors["changed_pixels"] = float((as_stored(x, centered) != images).mean())
    return errors


def latent_std(u_T, sde):
    """Root mean square of each of the k components of latents over that of the prior: 1 where they match."""
    parts = np.split(u_T, sde.k, axis=-1)
    return [round(float(np.sqrt((p**2).mean()) / std), 4) for p, std in zip(parts, sde.prior_std(), strict=True)]
