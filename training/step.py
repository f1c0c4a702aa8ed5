"""One training step as a pure function of (state, batch), to be run on every device of the axis AXIS.

Randomness is a function of (seed, step, position in the global batch), see linnet.randomness: nothing is stored, and
neither the number of devices nor gradient accumulation changes what an example sees.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from linnet.arrays import Array
from linnet.data import transforms
from linnet.devices.parallel import AXIS
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.training import estimates
from linnet.training.objectives.base import Objective
from linnet.training.state import TrainState

QUARTILES = 4
SUM = "quartile_sum_"
TRAINING = (Purpose.TRAINING, Purpose.TRAINING_TIMES)
VALIDATION = (Purpose.VALIDATION, Purpose.VALIDATION_TIMES)


def keys_and_times(
    seed: int, purposes: tuple[Purpose, Purpose], step: Array, n: int, objective: Objective, extra: Any
) -> tuple[Array, Array, Array]:
    """(keys, times, weights), each (n,), of this device's n examples at `step`; purposes: of the keys and the times."""
    devices = jax.lax.axis_size(AXIS)
    position = jax.lax.axis_index(AXIS) * n + jnp.arange(n)
    examples, times = purposes
    keys = key_for(seed, examples, step, position)
    return keys, *objective.weighted_times(extra, key_for(seed, times, step), position, devices * n)


def make_flip(images: Array, keys: Array, settings: ConfigDict) -> Callable[[Array], Array]:
    """The function that mirrors arrays (n, H, W, C) where these images are mirrored, as config.data says."""
    if not settings.random_flip or images.ndim != 4:
        return lambda array: array
    flips = transforms.draw_flips(fold(keys, Part.FLIP))
    return lambda array: transforms.flip(array, flips)


def prepare(images: Array, keys: Array, settings: ConfigDict) -> Array:
    """uint8 images (n, H, W, C) -> network range float32, dequantised as config.data says."""
    dequantize = fold(keys, Part.DEQUANTISATION) if settings.uniform_dequantization else None
    return transforms.to_model_range(images, centered=settings.centered, dequantize_keys=dequantize)


def by_quartile(measured: dict[str, Array], t: Array, objective: Objective) -> dict[str, Array]:
    """{SUM + name: sum of measured[name] (B,), "quartile_count": number of examples} in each quarter of the
    time range, (QUARTILES,) each, over all devices."""
    fraction = (t - objective.t_min) / (objective.t_max - objective.t_min)
    member = jax.nn.one_hot((fraction * QUARTILES).astype(int).clip(0, QUARTILES - 1), QUARTILES)
    sums = {SUM + name: values @ member for name, values in measured.items()}
    return jax.lax.psum(sums | {"quartile_count": member.sum(0)}, AXIS)


def unconditional(batch: dict[str, Any], x: Array, keys: Array | None) -> dict[str, Any]:
    """The condition of networks without one, besides the image and the time."""
    return {}


def read_estimates(state: TrainState, batch: dict[str, Any], flip: Callable[[Array], Array]) -> dict[str, Array]:
    """The estimates of the examples of the batch, and their epochs: from the state, or in the batch itself."""
    x_hat = batch["x_hat"] if "x_hat" in batch else estimates.read(state.estimates, batch["index"], AXIS)
    return {"x_hat": flip(x_hat.astype(jnp.float32)), "epoch": batch["epoch"]}


def keep_estimates(
    state: TrainState, batch: dict[str, Any], estimate: Array, flip: Callable[[Array], Array]
) -> tuple[TrainState, dict[str, Array]]:
    """(state, metrics) with the estimates kept: in the state, or in the metrics for the host to keep."""
    index, values = jax.lax.all_gather((batch["index"], flip(estimate)), AXIS, tiled=True)
    if "x_hat" in batch:
        return state, {"index": index, "x_hat": estimates.stored(values, batch["x_hat"].dtype)}
    return state.replace(estimates=estimates.write(state.estimates, index, values, AXIS)), {}


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """step(state, batch) -> (state, metrics), and its two halves.

    differentiate(state, batch) -> (state, gradients, metrics): of the device's examples, the results those of all
    devices of AXIS. It looks at neither state.ema nor state.opt_state; the state that it returns holds what the
    objective keeps. update(state, gradients) -> state: for whole arrays, without an axis.
    """

    differentiate: Callable
    update: Callable

    def __call__(self, state: TrainState, batch: dict[str, Any]) -> tuple[TrainState, dict[str, Array]]:
        """Both halves, on one device."""
        state, grads, metrics = self.differentiate(state, batch)
        return self.update(state, grads), metrics


def in_parts(gradient_of_part: Callable[..., Any], number: int, unrolled: bool) -> Callable[..., Any]:
    """(params, fixed, inputs (n, ...)) -> (mean gradient, what is seen (n, ...)) of so many equal parts of the inputs.

    unrolled: without a loop around them. XLA:CPU runs the gradient of a convolution inside one far slower than outside.
    """

    def gradient(params, fixed, inputs):
        """(mean gradient, a tree like params; what is seen, (n, ...)) of inputs (n, ...), n a multiple of `number`."""
        if number == 1:
            return gradient_of_part(params, fixed, inputs)

        def add(total, part):
            grads, seen = gradient_of_part(params, fixed, part)
            return jax.tree.map(jnp.add, total, grads), seen

        parts = jax.tree.map(lambda a: a.reshape(number, -1, *a.shape[1:]), inputs)
        zero = jax.tree.map(jnp.zeros_like, params)
        grads, seen = jax.lax.scan(add, zero, parts, unroll=unrolled)
        seen = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), seen)
        return jax.tree.map(lambda g: g / number, grads), seen

    return gradient


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    ema_rates: tuple[float, ...],
    *,
    seed: int,
    settings: ConfigDict,
    grad_accum: int = 1,
    conditions: Callable[..., dict[str, Array]] = unconditional,
    ema_stds: tuple[float, ...] = (),
    unrolled: bool = False,
) -> TrainStep:
    """The TrainStep of batches {"image": (n, ...)}; metrics: loss, grad_norm, quartile sums and counts, and the means
    of what else the objective sees of each example.

    conditions: see `training.conditions`; what it needs is in the batch, each (n, ...). Objectives that keep estimates
    need "index" and "epoch" in it, and state.estimates or "x_hat".
    The n images of the device are taken in grad_accum equal parts, `unrolled` as in `in_parts`; the gradient is that of
    the whole batch.
    """

    def mean_loss(params, fixed, x, keys, t, weights, condition, before):
        own = objective.bind(fixed)
        losses, seen = own.examine(params, x, keys, t, condition=condition, estimates=before)
        return (losses * weights).mean(), (losses, seen)

    def gradient_of_part(params, fixed, inputs):
        (_, seen), grads = jax.value_and_grad(mean_loss, has_aux=True)(params, fixed, *inputs)
        return grads, seen

    gradient = in_parts(gradient_of_part, grad_accum, unrolled)

    def differentiate(state, batch):
        """(state, gradients, a tree like state.params, metrics) of the device's batch, means over all devices."""
        keys, t, weights = keys_and_times(seed, TRAINING, state.step, len(batch["image"]), objective, state.extra)
        flip = make_flip(batch["image"], keys, settings)
        x = prepare(flip(batch["image"]), keys, settings)
        condition = conditions(batch, x, keys)
        before = read_estimates(state, batch, flip) if objective.keeps_estimates else None
        grads, (losses, seen) = gradient(state.params, state.fixed, (x, keys, t, weights, condition, before))
        kept = {}
        if objective.keeps_estimates:
            state, kept = keep_estimates(state, batch, seen.pop("estimate"), flip)
        grads = jax.lax.pmean(grads, AXIS)
        everywhere = jax.lax.all_gather((t, losses), AXIS, tiled=True)
        state = state.replace(extra=objective.update(state.extra, *everywhere))
        measured = {"loss": losses} | {name: seen[name] for name in objective.by_time}
        metrics = {
            "loss": jax.lax.pmean((losses * weights).mean(), AXIS),
            "grad_norm": optax.tree.norm(grads),
            **by_quartile(measured, t, objective),
            **{name: jax.lax.pmean(values.mean(), AXIS) for name, values in seen.items()},
            **kept,
        }
        return state, grads, metrics

    return TrainStep(differentiate, lambda state, grads: state.apply_gradients(grads, optimizer, ema_rates, ema_stds))


def make_eval_step(
    objective: Objective,
    *,
    seed: int,
    settings: ConfigDict,
    conditions: Callable[..., dict[str, Array]] = unconditional,
) -> Callable[..., dict[str, Array]]:
    """step(params, step number, {"image"}, objective.fixed) -> means over all devices, without dropout or flips.

    They are {"loss"} and what is in objective.by_time.
    """

    def step(params, number, batch, fixed):
        """{name: () float32} of batch {"image": (n, ...) uint8} with the noise of step `number`."""
        keys, t, weights = keys_and_times(seed, VALIDATION, number, len(batch["image"]), objective, objective.init())
        x = transforms.to_model_range(batch["image"], centered=settings.centered)
        condition = conditions(batch, x, None)
        own = objective.bind(fixed)
        given = {"train": False, "condition": condition}
        if not objective.by_time:
            losses = own.losses(params, x, keys, t, **given)
            seen = {}
        else:
            losses, seen = own.examine(params, x, keys, t, **given)
        means = {"loss": (losses * weights).mean()} | {name: seen[name].mean() for name in objective.by_time}
        return jax.lax.pmean(means, AXIS)

    return step
