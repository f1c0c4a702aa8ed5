"""--mode=edit: images noised part of the way and denoised, or encoded as their class and decoded as another.

See engine.editing for the methods. config.sampling.labels names the classes: with method=noise those that images
become, in turn ("": their own); with method=flow a column each ("": all).
"""

import os
from typing import Any

import numpy as np

from linnet.devices import processes
from linnet.engine.batches import first_images, number_of_images
from linnet.engine.chosen_images import N, about, chosen_images
from linnet.engine.completions import check_finite
from linnet.engine.editing import METHODS, check
from linnet.engine.experiment import Experiment
from linnet.engine.pictures import save_picture
from linnet.evaluation.psnr import psnr
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json


def run(experiment: Experiment) -> None:
    """Writes edit.json, edit.png (a row for each image) and edited.npz to the folder of the mode."""
    config, settings = experiment.config, experiment.config.edit
    check(config, experiment.guided.is_guided)
    source = chosen_images(config, settings, experiment.picture_shape, experiment.evaluated)
    batch = first_images(source, number_of_images(source, config.eval.num_images, N), config.data.num_workers)
    if experiment.decoder is not None and settings.images:
        batch["image"] = experiment.decoder.encode(batch["image"])
    folder = experiment.results("edit")
    check_writable(os.path.join(folder, "edit.json"))
    made_by = experiment.provenance() | experiment.guided.noted
    report = about(made_by, config, "edit", source, len(batch["index"]))
    processes.check_same("their config, images or checkpoint", report)
    found = METHODS[settings.method](experiment, source, batch)
    check_finite(np.concatenate([x for x, _ in found.values()]))
    if not processes.is_first():
        return
    original = experiment.recipe.pictures(batch["image"])
    images: dict[str, Any] = {name: experiment.stored(x) for name, (x, _) in found.items()}
    report |= {
        "nfe": {name: nfe for name, (_, nfe) in found.items()},
        "psnr_to_original": {name: float(psnr(x, original).mean()) for name, x in images.items()},
    }
    with atomic_write(os.path.join(folder, "edited.npz")) as file:
        np.savez_compressed(file, images=original, **images)
    sheet = np.stack([original, *images.values()], axis=1)
    names = ["image", *images] * len(sheet)
    path = os.path.join(folder, "edit.png")
    save_picture(sheet.reshape(-1, *sheet.shape[2:]), path, columns=sheet.shape[1], captions=names)
    write_json(os.path.join(folder, "edit.json"), report)
    shown = " ".join(f"{name}: {value:.3g}" for name, value in report["psnr_to_original"].items())
    print(f"{len(batch['index'])} images, psnr to the original by {settings.method}: {shown} | everything in {folder}")
