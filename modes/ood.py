"""--mode=ood: how well outliers are told from the test images of the data, by what the network makes of single images.

Images of the data (config.eval.image_split) and of config.ood.dataset and path, config.eval.num_images of each drawn by
the seed, are scored (engine.outliers), and each score is reported with AUROC, AUPR and FPR at 95 % TPR
(evaluation.detection): the protocol of GenerativeZoo, with the likelihoods beside it.
"""

import os
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data.source import Drawn
from linnet.devices import processes
from linnet.engine.batches import batch_size
from linnet.engine.bound_bits import BoundBits
from linnet.engine.chosen_images import refuse_latents
from linnet.engine.experiment import Experiment
from linnet.engine.flow_bits import FlowBits
from linnet.engine.outliers import Scores, names, open_outliers
from linnet.engine.pictures import save_picture
from linnet.engine.reconstruct import Reconstruct
from linnet.evaluation.detection import detection
from linnet.evaluation.histogram import save_histograms
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json

BITS = {"flow": FlowBits, "bound": BoundBits}
SHOWN = 8
NAME = "ood.json"


def run(experiment: Experiment) -> None:
    """Prints the table; writes ood.json, scores.npz, histograms.png and ood.png to the folder of the mode."""
    config, shape = experiment.config, experiment.shape
    if len(shape) != 3:
        raise ValueError("--mode=ood is for images, and config.data.dataset=points has none")
    refuse_latents(config, "its scores compare pictures; --mode=eval has the bits of latents")
    names(config)
    sets = {"data": experiment.evaluated(), "outliers": open_outliers(config, shape)}
    if config.ood.bits:
        sets["training"] = experiment.examples("train")
    if config.eval.num_images:
        sets = {which: Drawn(source, config.eval.num_images, config.seed) for which, source in sets.items()}
    reconstruct = Reconstruct(config, experiment.sde, experiment.carried)
    bits = BITS[config.ood.bits](config, experiment.sde, experiment.carried, shape) if config.ood.bits else None
    way = f"{config.sampling.method}_nfe{config.sampling.nfe}_{config.eval.params}"
    folder = experiment.results("ood", sets["outliers"].name.replace("/", "_"), way)
    check_writable(os.path.join(folder, NAME))
    size = batch_size(config.eval.batch_size, max(map(len, sets.values())))
    scores = Scores(config, reconstruct, bits, experiment.trained, size, folder)
    found = {which: scores.of(source, which) for which, source in sets.items()}
    if not processes.is_first():
        return
    if bits is not None:
        usual = found.pop("training")["bits"].mean()
        for of in found.values():
            of["typicality"] = np.abs(of["bits"] - usual)
    save(found, scores, sets, folder)
    inside, outside = found["data"], found["outliers"]
    of_score = {name: detection(inside[name], outside[name], config.seed) for name in inside}
    write_json(os.path.join(folder, NAME), scored(experiment.provenance(), config, sets) | {"scores": of_score})
    print(table(of_score, config.ood.score))
    print(f"{len(inside['l1'])} images of the data, {len(outside['l1'])} outliers | everything in {folder}")


def save(found: dict[str, Any], scores: Scores, sets: dict[str, Any], folder: str) -> None:
    """Writes the scores of each image, and the pictures."""
    chosen = scores.config.ood.score
    with atomic_write(os.path.join(folder, "scores.npz")) as file:
        np.savez(file, **{f"{which}/{name}": value for which, of in found.items() for name, value in of.items()})
    panels = {name: tuple(of[name] for of in found.values()) for name in found["data"]}
    save_histograms(os.path.join(folder, "histograms.png"), panels, tuple(sets[which].name for which in found))
    save_extremes(scores, sets, {which: of[chosen] for which, of in found.items()}, os.path.join(folder, "ood.png"))


def scored(provenance: dict[str, Any], config: ConfigDict, sets: dict[str, Any]) -> dict[str, Any]:
    """What was scored, and by what, for the record."""
    return provenance | {
        "sets": {
            which: {"name": source.name, "split": source.split, "fingerprint": source.fingerprint()}
            for which, source in sets.items()
        },
        "ood": config.ood.to_dict(),
        "sampling": {key: value for key, value in config.sampling.to_dict().items() if value is not None},
    }


def save_extremes(scores: Scores, sets: dict[str, Any], values: dict[str, np.ndarray], path: str) -> None:
    """Images of the lowest and of the highest scores of both sets, and below them their reconstructions."""
    images, captions = [], []
    level = len(scores.config.ood.recon_factor) // 2
    for which, of in values.items():
        order = np.argsort(of, kind="stable")
        for numbers in (order[:SHOWN], order[-SHOWN:]):
            images += [sets[which][int(i)]["image"] for i in numbers]
            images += list(scores.reconstructions(sets[which], numbers, level))
            captions += [f"{of[i]:.2g}" for i in numbers] + [which[:4]] * len(numbers)
    save_picture(np.stack(images), path, columns=min(SHOWN, *map(len, values.values())), captions=captions)


def table(scores: dict[str, Any], chosen: str) -> str:
    """Lines of the scores, the chosen one first, with intervals."""
    lines = ["score                 AUROC  (95 % interval)    AUPR   FPR at 95 % TPR"]
    for name in sorted(scores, key=lambda name: (name != chosen, -scores[name]["auroc"])):
        one = scores[name]
        low, high = one["auroc_interval"]
        lines.append(f"{name:20s}  {one['auroc']:.4f} ({low:.4f} to {high:.4f})  {one['aupr']:.4f}  {one['fpr95']:.4f}")
    return "\n".join(lines)
