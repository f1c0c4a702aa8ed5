"""Folders of diffusers: where the network lies, which of its files are read, and what its scheduler says.

    config.json, diffusion_pytorch_model[.<variant>][-00001-of-00002].{safetensors,bin}     save_pretrained
    unet/                                                                                    a pipeline
    unet_ema/  unet/                                                                         checkpoint-<step>, of both

Without a network at its top, the newest checkpoint-<step> of a folder is read.
"""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from linnet.files.refused import Refused
from linnet.interop import safetensors, state_dicts

WEIGHTS = re.compile(
    r"diffusion_pytorch_model(?:\.(?P<variant>\w+))?(?:-(?P<part>\d+)-of-(?P<parts>\d+))?\.(?P<kind>safetensors|bin)"
)
ANCHOR = re.compile(r"(?<![^.])conv_in\.weight$")
STEP = re.compile(r"checkpoint-(\d+)")
KINDS = {"ema": "ema", "non_ema": "raw"}  # variants that say which parameters they are
PREDICTION_TYPES = {"epsilon": "eps", "sample": "x_0", "v_prediction": "v"}
SCHEDULES = {
    "linear": ("discrete", "linear"),
    "scaled_linear": ("quad",),
    "squaredcos_cap_v2": ("discrete_cosine", "cosine"),
}


@dataclasses.dataclass(frozen=True)
class Folder:
    """path: of config.json and weights; settings: what the former says; kind: of the parameters; file: the one to read,
    None for the best there is."""

    path: Path
    settings: dict
    kind: str = "unknown"
    file: Path | None = None


def find(path: Path, params: str = "ema") -> Folder | None:
    """The network at `path`, a folder or one of its files of weights, or None. params: which of two sets."""
    if path.is_file():
        found = find_at(path.parent) if WEIGHTS.fullmatch(path.name) else None
        return found and dataclasses.replace(found, file=path)
    steps = sorted((p for p in path.glob("checkpoint-*") if STEP.fullmatch(p.name)), key=lambda p: int(p.name[11:]))
    for folder in (path, *reversed(steps)):
        pair = {"ema": find_at(folder / "unet_ema"), "raw": find_at(folder / "unet")}
        if found := find_at(folder) or pair[params] or pair["ema"] or pair["raw"]:
            return found
    return None


def find_at(path: Path) -> Folder | None:
    """The network whose config.json lies in the folder itself, or None."""
    settings = read_json(path / "config.json")
    if settings.get("_class_name") != "UNet2DModel":
        return None
    kind = {"unet_ema": "ema", "unet": "raw"}.get(path.name, "unknown")
    return Folder(path, settings, kind if (path.parent / "unet_ema").is_dir() else "unknown")


def read_json(path: Path) -> dict:
    """The map in the file; {} where there is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read(folder: Folder, params: str) -> tuple[dict[str, np.ndarray], str]:
    """(arrays by name, "ema", "raw" or "unknown"). Refused without weights, and where a part of them is missing."""
    found = [name for name in map(WEIGHTS.fullmatch, sorted(p.name for p in folder.path.iterdir())) if name]
    if folder.file:
        chosen = WEIGHTS.fullmatch(folder.file.name)
    else:
        chosen = min(found, key=lambda name: _rank(name, params), default=None)
    if chosen is None:
        raise Refused(
            f"{folder.path}: config.json of a UNet2DModel without diffusion_pytorch_model.safetensors or .bin"
        )
    parts = [
        name for name in found if name.group("variant", "parts", "kind") == chosen.group("variant", "parts", "kind")
    ]
    missing = set(range(1, int(chosen["parts"] or 0) + 1)) - {int(name["part"] or 0) for name in parts}
    if missing:
        raise Refused(f"{folder.path}: part {min(missing)} of {chosen['parts']} of its weights is not there")
    arrays: dict[str, np.ndarray] = {}
    for name in parts:
        arrays |= _arrays(folder.path / name.string)
    return arrays, KINDS.get(chosen["variant"], folder.kind)


def _rank(name, params):
    """Sorts files by how well they serve: the set that is asked for, full precision, safetensors."""
    preferred = {"ema": "ema", "raw": "non_ema"}[params]
    variants = (preferred, None, "fp32", *(each for each in KINDS if each != preferred))
    place = variants.index(name["variant"]) if name["variant"] in variants else len(variants)
    return place, name["kind"] != "safetensors", int(name["parts"] or 0), name.string


def _arrays(path):
    if path.suffix == ".safetensors":
        return safetensors.read(path)[0]
    found = state_dicts.find(path, state_dicts.read(path), ANCHOR, "raw")
    content = found.tensors if found else dict(state_dicts.leaves(state_dicts.read(path)))
    return state_dicts.arrays(path, content)


def scheduler(folder: Folder, config: ConfigDict) -> dict:
    """Keys of config.sde and config.model that the scheduler beside the network says, {} where there is none."""
    around = [folder.path, folder.path.parent, folder.path.parent.parent]
    places = [place / inside for place in around for inside in ("", "scheduler")]
    settings = next(filter(None, (read_json(place / "scheduler_config.json") for place in places)), {})
    if settings.get("_class_name") == "ScoreSdeVeScheduler":
        names = {"sigma_min": "sde.sigma_min", "sigma_max": "sde.sigma_max"}
        return {names[key]: _number(settings, key) for key in names if key in settings}
    return _prediction(settings) | _chain(settings, config)


def _number(settings, key):
    if type(settings[key]) not in (int, float):
        raise Refused(f"scheduler_config.json: {key}={settings[key]!r} is no number")
    return float(settings[key])


def _prediction(settings):
    if "prediction_type" not in settings:
        return {}
    if settings["prediction_type"] not in PREDICTION_TYPES:
        raise Refused(f"scheduler_config.json: prediction_type={settings['prediction_type']!r} is not supported")
    return {"model.prediction": PREDICTION_TYPES[settings["prediction_type"]]}


def _chain(settings, config):
    """The chain of a DDPM; schedules of continuous time that approach it are kept."""
    if "beta_schedule" not in settings:
        return {}
    schedule = settings["beta_schedule"]
    if schedule not in SCHEDULES or settings.get("trained_betas") or settings.get("rescale_betas_zero_snr"):
        key = "beta_schedule" if schedule not in SCHEDULES else "trained_betas or rescale_betas_zero_snr"
        raise Refused(f"scheduler_config.json: {key} is not supported: {schedule!r}")
    steps = int(_number(settings, "num_train_timesteps"))
    ours = config.sde.get("schedule")
    found = {"sde.name": "vp", "sde.schedule": ours if ours in SCHEDULES[schedule] else SCHEDULES[schedule][0]}
    if found["sde.schedule"] not in ("linear", "cosine"):
        found["sde.num_steps"] = steps
    if schedule != "squaredcos_cap_v2":
        for key, name in (("beta_start", "beta_min"), ("beta_end", "beta_max")):
            value = steps * _number(settings, key)
            has = config.sde.get(name, 0.0)
            found[f"sde.{name}"] = has if np.isclose(value, has, rtol=1e-6) else value
    return found
