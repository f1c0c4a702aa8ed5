"""--mode=data_report: what a data set holds, and the flags that it asks for.

report.json   classes with their counts, splits, what was left out, spread, largest distance, suggested settings, flags
grid.png      some of the images as the network will see them, with their classes
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from linnet.data import WORDS, NoSplit
from linnet.data.source import Source
from linnet.data.summary import Summary, summarize
from linnet.engine.classes import listed
from linnet.engine.experiment import Experiment
from linnet.engine.pictures import save_picture
from linnet.files.json_files import write_json

SHOWN = 64
SMALLEST_LEVEL = 4
ATTENTION = range(7, 17)
"""Heights of feature maps at which score_sde's and MNIST's networks have attention."""

SYMMETRIC = 0.02
"""Asymmetry of mirroring up to which mirrored images are suggested; on CIFAR-10 it is 7e-5, on MNIST 0.04."""

ENOUGH = 100
"""Images below which the asymmetry, whose error is about one over their number, decides nothing."""


def run(experiment: Experiment) -> None:
    """Prints the report of the training images; writes it, and the picture, to --result_folder or the workdir."""
    config, source = experiment.config, experiment.dataset()
    folder = experiment.paths.result_folder or experiment.paths.run("data_report")
    summary = summarize(source, config.data.num_workers)
    scale = (2 if config.data.centered else 1) / 255 if source.dtype == np.uint8 else 1.0
    settings = suggested(config, source, summary, scale)
    report = {
        "dataset": source.name,
        "splits": splits(experiment.dataset),
        "shape": source.shape,
        "mean": summary.mean * scale - (config.data.centered and source.dtype == np.uint8),
        "std": summary.std * scale,
        "largest_distance": summary.distance * scale,
        "largest_distance_of": summary.paired,
        "mirror_asymmetry": summary.asymmetry,
        "classes": dict(zip(source.class_names, summary.counts.tolist(), strict=True)),
        "notes": source.notes,
        "flags": [f'--config.{key}="{value}"' for key, value in settings.items()],
    }
    write_json(os.path.join(folder, "report.json"), report)
    save_examples(source, summary.counts, os.path.join(folder, "grid.png"))
    print(in_words(report, folder))


def splits(dataset: Callable[..., Source]) -> dict[str, int]:
    """{"train": number of images, ...} of the splits that are there. dataset: opens a split by its name."""
    found = {}
    for split in WORDS:
        try:
            found[split] = len(dataset(split))
        except NoSplit:
            continue
    return found


def suggested(config: ConfigDict, source: Source, summary: Summary, scale: float) -> dict[str, Any]:
    """{"model.sigma_data": value, ...}: the keys of this config that the data would set otherwise."""
    wanted: dict[str, Any] = {}
    if summary.std > 0:
        wanted["sde.sigma_max"] = float(f"{summary.distance * scale:.3g}")
    if summary.std > 0 and config.model.prediction in ("edm", "edm_aligned"):
        wanted["model.sigma_data"] = round(summary.std * scale, 3)
    if len(source.shape) == 3:
        multipliers, attention = levels(*source.shape[:2])
        wanted |= {f"model.{key}": multipliers for key in ("ch_mult", "channel_mult")}
        wanted |= {f"model.{key}": attention for key in ("attn_resolutions", "attention_resolutions")}
    if len(source.shape) == 3 and len(source) >= ENOUGH and summary.asymmetry is not None:
        wanted["data.random_flip"] = summary.asymmetry <= SYMMETRIC
    present = {key: value for key, value in wanted.items() if key.split(".")[1] in config[key.split(".")[0]]}
    return {key: value for key, value in present.items() if config[key.split(".")[0]][key.split(".")[1]] != value}


def levels(height: int, width: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(channels of each level in units of the first, heights with attention) for images of this size.

    Sides are halved while they are even and not below SMALLEST_LEVEL, as in score_sde's networks for 32 and 256 pixels.
    """
    heights = [height]
    while height % 2 == width % 2 == 0 and min(height, width) // 2 >= SMALLEST_LEVEL:
        height, width = height // 2, width // 2
        heights.append(height)
    wide = 1 if len(heights) <= 4 else 2
    return (1,) * wide + (2,) * (len(heights) - wide), tuple(h for h in heights if h in ATTENTION)


def save_examples(source: Source, counts: np.ndarray, path: str) -> None:
    """A picture of SHOWN examples, evenly chosen, with the names of their classes."""
    if len(source.shape) == 1:
        chosen = np.arange(len(source))
    else:
        chosen = np.unique(np.linspace(0, len(source) - 1, SHOWN).astype(int))
    examples = [source[int(i)] for i in chosen]
    captions = [source.class_names[example["label"]] for example in examples] if len(counts) else None
    save_picture(np.stack([example["image"] for example in examples]), path, captions=captions)


def in_words(report: dict[str, Any], folder: str) -> str:
    """The report for people."""
    classes = [f"{name} ({count})" for name, count in report["classes"].items()]
    lines = [
        f"{report['dataset']}: {', '.join(f'{n} {split}' for split, n in report['splits'].items())} examples "
        f"{tuple(report['shape'])}; {len(classes) or 'no'} classes{': ' * bool(classes)}{listed(classes)}",
        f"std {report['std']:.3g}, largest distance {report['largest_distance']:.4g} (of "
        f"{report['largest_distance_of']} examples), in the range of the model",
    ]
    if report["mirror_asymmetry"] is not None:
        lines.append(f"asymmetry of mirroring {report['mirror_asymmetry']:.3g} (0: none, 1: full)")
    if classes:
        lines.append("for a network of these classes: --config.model.num_classes=-1")
    lines.append(" ".join(["flags to set:", *report["flags"]]) if report["flags"] else "the config fits the data")
    return "\n".join([*lines, f"everything in {folder}"])
