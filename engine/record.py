"""sampling.json: what made the samples of a folder, by content, so that those of something else are not taken for them.

Samples are the same where parameters (by their hash), conditions, process, network and way of sampling are. The path
of the checkpoint does not count, for another may lie there by now.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from linnet.data.source import Source
from linnet.data.transforms import ROUNDING_RULE
from linnet.devices import processes
from linnet.engine.generate import Generator, Recipe
from linnet.engine.guides import SCALES
from linnet.engine.paths import Paths
from linnet.engine.trained import Trained
from linnet.files.json_files import read_json, write_json
from linnet.training.checkpoint import versions
from linnet.training.state import ema_rates

NAME = "sampling.json"
ASIDE = ("checkpoint", "batch_size", "versions", "latents")
"""Fields that may differ between runs whose samples are the same."""

OPTIONAL = {"network_sde", "guides", "autoencoder"}
"""Fields of samples that other samples do not have."""

LATER = ("times", "times_in", "analytic_first", "guidance_interval", "lower_order_final")
"""Keys of config.sampling that earlier samples do not have; noted where they are set."""

BY_CONTENT = ("table", *SCALES, *SCALES.values())
"""Keys of config.sampling that are paths, and scales of what lies there: that is noted."""

KEPT = ("nfe", "batch_size")
"""Fields that go with the samples that are there: evaluations of an image, and images in a file."""


def prepare(recipe: Recipe, fields: dict[str, Any], folder: str) -> dict[str, Any]:
    """What decides the samples with their nfe if it is known, noted in the folder. fields: as of `identity`.

    ValueError as `claim`, as Generator before anything is written, and where it differs between processes; OSError
    where nothing can be written.
    """
    Generator(recipe, fields["batch_size"])
    processes.check_same("what decides the samples", decisive(fields))
    kept = claim(folder, fields) if processes.is_first() else {}
    return fields | processes.agreed(kept)


def provenance(trained: Trained, config: ConfigDict) -> dict[str, Any]:
    """Which parameters, random numbers and latents made something: fields of every record."""
    made_by = {"checkpoint": trained.name, "parameters": trained.hash, "seed": config.seed, "params": trained.kind}
    return made_by | hash_of_latents(config.data.latents)


def identity(
    config: ConfigDict,
    paths: Paths,
    trained: Trained,
    *,
    sampling: dict[str, Any],
    nfe_follows: str,
    processes: dict[str, Any],
    shape: tuple[int, ...],
    low_res: Source | None,
    guides: dict[str, Any],
    decoder: Any,
) -> dict[str, Any]:
    """What decides the samples, and where it came from. batch_size: images in a file.

    sampling, nfe_follows, processes, shape: as of the Experiment. low_res: the source of low-resolution images or None.
    guides: as of Guided.noted.
    decoder: the Decoder of latents or None.
    """
    idle = (*BY_CONTENT, "trajectory", *["nfe"] * bool(nfe_follows))
    chosen = {key: value for key, value in sampling.items() if value or key not in LATER}
    fields = {
        **provenance(trained, config),
        **({"ema_rate": ema_rates(config)[0]} if trained.kind == "ema" and paths.ckpt is None else {}),
        "sampling": {key: value for key, value in chosen.items() if key not in idle},
        **processes,
        **guides,
        "model": config.model.to_dict(),
        "continuous": config.training.continuous,
        "shape": list(shape),
        "centered": config.data.centered,
        **({} if low_res is None else {"low_res": low_res.fingerprint()}),
        **({} if decoder is None else {"autoencoder": decoder.identity()}),
        "batch_size": config.eval.batch_size,
        "rounding": ROUNDING_RULE,
        "versions": versions(),
    }
    return json.loads(json.dumps(fields))


def hash_of_latents(path: str) -> dict[str, str]:
    """{"latents": SHA-256 of the file config.data.latents}; {} where there is none."""
    if not path:
        return {}
    with open(path, "rb") as file:
        return {"latents": hashlib.file_digest(file, "sha256").hexdigest()}


def folder_name(fields: dict[str, Any], params: str, nfe: int) -> str:
    """The name of the folder of samples: how they were made, in words and by content. params: config.eval.params."""
    digest = hashlib.sha256(json.dumps(decisive(fields)).encode()).hexdigest()[:8]
    under = f"{fields['sde']['name']}_" if "network_sde" in fields else ""
    return f"{under}{fields['sampling']['method']}_nfe{nfe}_{params}_seed{fields['seed']}_{digest}"


def decisive(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that decide the samples."""
    return {key: value for key, value in fields.items() if key not in ASIDE}


def claim(folder: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Notes `fields` in the folder, or returns what is KEPT of samples that are there and were made by the same.

    ValueError where it holds samples that were made by something else, or does not say by what.
    """
    samples = sorted(Path(folder).glob("samples_*.npz"))
    if not samples:
        write(folder, fields)
        return {}
    found, advice = read(folder), "delete it or choose another --result_folder"
    wanted = decisive(fields)
    silent = [key for key in wanted if key not in found and key not in OPTIONAL]
    if silent:
        raise ValueError(f"{folder} holds {samples[0].name} and does not say by which {', '.join(silent)}: {advice}")
    different = [key for key in (*wanted, *(OPTIONAL - wanted.keys())) if found.get(key) != wanted.get(key)]
    if different:
        raise ValueError(f"{folder} holds samples made with another {', '.join(different)}; {advice}")
    return {key: found[key] for key in KEPT if key in found}


def read(folder: str) -> dict[str, Any]:
    """The fields that are noted in the folder; {} where there are none. ValueError where they are damaged."""
    path = Path(folder, NAME)
    return read_json(path, f"delete {folder} or choose another --result_folder") if path.exists() else {}


def write(folder: str, fields: dict[str, Any]) -> None:
    """Notes the fields, whole or not at all."""
    write_json(os.path.join(folder, NAME), fields)
