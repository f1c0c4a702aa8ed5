"""Images of which y = A x is known, completed by a trained network, for --mode=inpaint, colorize, super_resolution.

A Problem says what is known of which images. Completions are drawn by the sampler of config.sampling from the posterior
(samplers.posterior) or with replacement (samplers.replacement), and end with y put in exactly.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from linnet.arrays import Array
from linnet.data import transforms
from linnet.devices import processes
from linnet.engine.batches import first_images, in_batches, number_of_images
from linnet.engine.chosen_images import N, about, class_numbers, refuse_latents
from linnet.engine.pictures import save_picture
from linnet.engine.reconstruct import NET, perceptual
from linnet.evaluation.psnr import psnr
from linnet.files.atomic import atomic_write, check_writable
from linnet.files.json_files import write_json
from linnet.models.lpips_weights import load_params
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers import posterior
from linnet.samplers.base import EpsFunction, Samples, require
from linnet.samplers.measurements import impose
from linnet.samplers.replacement import Known, replacing

if TYPE_CHECKING:
    from linnet.engine.experiment import Experiment

STEPS = 3
PROJECTIONS = 100
METHODS = (*posterior.METHODS, "replacement")


@dataclasses.dataclass(frozen=True)
class Problem:
    """source: the images. operator: a batch -> A. extra: further arrays of images, first axis the image.

    measured: the images are y themselves; else y = A x. hidden: (n, H, W, 1) bool, the pixels that are not seen, where
    y is of single pixels.
    """

    source: Any
    operator: Callable[[dict], Any]
    extra: dict = dataclasses.field(default_factory=dict)
    measured: bool = False
    hidden: Any = None


def run(experiment: "Experiment", mode: str, make_problem: Callable[[Any], Problem]) -> None:
    """Writes MODE.json, MODE.png and completions.npz to the folder of the mode.

    make_problem: experiment -> Problem. Errors come before the work.
    """
    config, settings = experiment.config, experiment.config[mode]
    refuse_latents(config, "what is known of pixels is no linear function of latents; --mode=edit takes latents")
    require(experiment.carried.bind(None), EpsFunction)
    sample = sampling(experiment.sampler, config.model.sigma_data, settings, mode)
    distance = perceptual_distance(settings, config)
    problem = make_problem(experiment)
    total = number_of_images(problem.source, config.eval.num_images, N)
    batch = first_images(problem.source, total, config.data.num_workers)
    classes, conditions = experiment.guided.classes, experiment.conditions
    batch["label"] = class_numbers(config, settings, classes, conditions, problem.source, batch["index"])
    batch |= {name: values[:total] for name, values in problem.extra.items()}
    folder = experiment.results(mode)
    check_writable(os.path.join(folder, f"{mode}.json"))
    report = about(experiment.provenance() | experiment.guided.noted, config, mode, problem.source, total)
    processes.check_same("their config, images or checkpoint", report)
    found = completed(experiment, problem, sample, batch, settings.completions)
    if not processes.is_first():
        return
    images = {name: transforms.to_uint8(found[name], config.data.centered) for name in ("x", "seen")}
    truth = not (problem.measured or np.array_equal(images["seen"], batch["image"]))  # there is more than what is seen
    report |= {
        "nfe": int(found["nfe"].max()),
        "deviation": float(found["deviation"].max()),
        **(scores(images["x"], batch["image"], problem.hidden, distance) if truth else {}),
    }
    with atomic_write(os.path.join(folder, "completions.npz")) as file:
        np.savez_compressed(file, images=batch["image"], seen=images["seen"], completions=images["x"])
    save(images, batch["image"] if truth else None, os.path.join(folder, f"{mode}.png"))
    write_json(os.path.join(folder, f"{mode}.json"), report)
    print(f"{total} images, {settings.completions} completions each, {summary(report)} | everything in {folder}")


def summary(report: dict[str, Any]) -> str:
    """The figures of a report in one line."""
    names = ("nfe", "psnr", "psnr_hidden", "lpips", "deviation")
    return " ".join(f"{name}={report[name]:.4g}" for name in names if name in report)


def sampling(sampler: Any, sigma_data: float, settings: ConfigDict, mode: str) -> Callable[..., Samples]:
    """sample(network, A, y, keys, u_T) -> Samples by config.MODE.method. ValueError for what does not go together."""
    for key, method in (("iterations", "mmps"), ("resamples", "replacement")):
        if settings[key] is not None and settings.method != method:
            raise ValueError(f"config.{mode}.{key} means nothing to method={settings.method}: it is for {method}")
    if settings.lpips_path and not settings.lpips:
        raise ValueError(f"config.{mode}.lpips_path means nothing without config.{mode}.lpips=True")
    if settings.method == "replacement":
        replacing_sampler = replacing(sampler, settings.resamples)
        return lambda network, A, y, keys, u_T: replacing_sampler(Known(network, sampler.sde, A, y), keys, u_T)
    chosen = {"method": settings.method, "sigma_data": sigma_data}
    chosen["iterations"] = settings.iterations or STEPS

    def sample(network, A, y, keys, u_T):
        return sampler(posterior.Posterior(network, sampler.sde, A, y, **chosen), keys, u_T)

    return sample


def completed(
    experiment: "Experiment", problem: Problem, sample: Callable[..., Samples], batch: dict[str, Any], completions: int
) -> dict[str, Any]:
    """{"x": (n, completions, H, W, C), "seen": what A^+ y shows (n, H, W, C), in the range of the model, "nfe",
    "deviation": largest |A x - y| of stored completions in grey levels}. RuntimeError for an image that is not finite.
    """
    config, sde = experiment.config, experiment.sde
    centered = config.data.centered
    guided = experiment.guided

    def complete(weights, batch):
        A = problem.operator(batch)
        given = transforms.to_model_range(batch["image"], centered=centered)
        y = given if problem.measured else A(given)
        keys = key_for(config.seed, Purpose.COMPLETIONS, batch["index"], batch["completion"])
        u_T = sde.prior(fold(keys, Part.PRIOR), (len(keys), *experiment.shape))
        condition = {"label": batch["label"]} if guided.classes[0] else {}
        network = guided.bind(weights, condition)
        samples = sample(network, A, y, fold(keys, Part.NOISE), u_T)
        x = feasible(A, y, sde.project(samples.u), centered)
        stored = transforms.to_model_range(transforms.to_uint8(x, centered), centered=centered)
        deviation = jnp.abs(A(stored) - y).reshape(len(x), -1).max(1) * (127.5 if centered else 255)
        return {"x": x, "seen": A.pinv(y), "nfe": jnp.full(len(x), samples.nfe), "deviation": deviation}

    n = len(batch["index"])
    every = {name: np.repeat(values, completions, axis=0) for name, values in batch.items()}
    every["completion"] = np.tile(np.arange(completions), n)
    found = in_batches(complete, experiment.weights, every, config.eval.batch_size, f"{n * completions} completions")
    check_finite(found["x"])
    x = found["x"].reshape(n, completions, *experiment.shape)
    return found | {"x": x, "seen": found["seen"][::completions]}


def feasible(A: Any, y: Array, x: Array, centered: bool) -> Array:
    """An image near x that gives y and stays in the range of the model, by projections onto both in turn (POCS)."""
    low = -1.0 if centered else 0.0
    return jax.lax.fori_loop(0, PROJECTIONS, lambda _, x: impose(A, y, jnp.clip(x, low, 1.0)), impose(A, y, x))


def check_finite(x: np.ndarray) -> None:
    """RuntimeError where an image of x (n, H, W, C) holds infinities or NaN."""
    lost = ~np.isfinite(x.reshape(len(x), -1)).all(1)
    if lost.any():
        raise RuntimeError(
            f"{lost.sum()} of {len(lost)} images are not finite: look for NaN in the checkpoint, or take more "
            "config.sampling.nfe or another method"
        )


def perceptual_distance(settings: ConfigDict, config: ConfigDict) -> Callable[..., np.ndarray] | None:
    """LPIPS of uint8 images (n, H, W, C) of two sets, (n,); None without config.MODE.lpips. Errors as load_params."""
    if not settings.lpips:
        return None
    if config.data.num_channels == 4:
        raise ValueError("LPIPS is for grey and colour images, and these have 4 channels: leave lpips out")
    weights = load_params(NET, settings.lpips_path or None)
    in_range = transforms.to_model_range
    compiled = jax.jit(lambda weights, a, b: perceptual(weights, in_range(a), in_range(b), centered=True))
    return lambda a, b: np.asarray(compiled(weights, a, b))


def scores(
    x: np.ndarray, truth: np.ndarray, hidden: np.ndarray | None, distance: Callable[..., np.ndarray] | None
) -> dict[str, Any]:
    """Fields of the report about uint8 completions x (n, completions, ...) of `truth` (n, ...): means, and of each."""
    every = np.broadcast_to(truth[:, None], x.shape)
    found = {"psnr": psnr(x, every)}
    if hidden is not None:
        found["psnr_hidden"] = psnr(x, every, hidden[: len(x), None])
    if distance is not None:
        found["lpips"] = np.stack([distance(x[:, j], truth) for j in range(x.shape[1])], axis=1)
    means = {name: float(values.mean()) for name, values in found.items()}
    return means | {"of_each": {name: values.round(4).tolist() for name, values in found.items()}}


def save(images: dict[str, np.ndarray], truth: np.ndarray | None, path: str) -> None:
    """A row for each image: the truth (where it is known), what is seen of it, its completions."""
    columns = {"seen": images["seen"]} | {str(j + 1): images["x"][:, j] for j in range(images["x"].shape[1])}
    if truth is not None:
        columns = {"truth": truth} | columns
    sheet = np.stack(list(columns.values()), axis=1)
    save_picture(sheet.reshape(-1, *sheet.shape[2:]), path, columns=len(columns), captions=list(columns) * len(sheet))
