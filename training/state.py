"""The state of training, and its one update."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from linnet.training import power_averages


class TrainState(flax.struct.PyTreeNode):
    """step: () int32, optimiser steps taken. params, opt_state: pytrees. ema: one tree of parameters per rate, then one
    per width of power-function averages.

    extra: arrays that the objective keeps from step to step; () where it keeps none. estimates: this device's rows
    of those of the training examples (see training.estimates); () where there are none, or on the host. fixed: arrays
    that the objective reads and no step changes (see training.objectives.base); they are in no checkpoint.
    """

    step: jax.Array
    params: dict
    ema: tuple
    opt_state: optax.OptState
    extra: Any = ()
    estimates: Any = ()
    fixed: Any = ()

    @classmethod
    def create(
        cls,
        params: dict[str, Any],
        optimizer: optax.GradientTransformation,
        ema_rates: tuple[float, ...],
        extra: Any = (),
        ema_stds: tuple[float, ...] = (),
    ) -> "TrainState":
        """The state before the first step; every average starts at the parameters."""
        ema = tuple(jax.tree.map(jnp.array, params) for _ in (*ema_rates, *ema_stds))
        step = jnp.zeros((), jnp.int32)
        return cls(step=step, params=params, ema=ema, opt_state=optimizer.init(params), extra=extra)

    def layout(self, copied: Callable[..., Any], divided: Callable[..., Any], rows: Callable[..., Any]) -> "TrainState":
        """A tree of the state's structure that says where its arrays are on several devices, by functions of a leaf.

        divided: of what only the update reads, which need not be whole anywhere. rows: of those of the examples, each
        on one device. copied: of everything else.
        """
        kinds = {"ema": divided, "opt_state": divided, "estimates": rows}
        names = [field.name for field in dataclasses.fields(self)]
        return self.replace(**{name: jax.tree.map(kinds.get(name, copied), getattr(self, name)) for name in names})

    def apply_gradients(
        self,
        grads: dict[str, Any],
        optimizer: optax.GradientTransformation,
        ema_rates: tuple[float, ...],
        ema_stds: tuple[float, ...] = (),
    ) -> "TrainState":
        """One optimiser step, then the averages; the rate warms up as min(rate, (1 + k) / (10 + k)) at step k.

        ema_stds: widths of averages that training.power_averages describes.
        """
        updates, opt_state = optimizer.update(grads, self.opt_state, self.params)
        params = optax.apply_updates(self.params, updates)
        warm = 9.0 / (10.0 + self.step)  # 1 - (1 + k) / (10 + k)
        shares = [jnp.maximum(1.0 - rate, warm) for rate in ema_rates]
        shares += [power_averages.share(std, self.step) for std in ema_stds]
        ema = tuple(
            optax.incremental_update(params, average, share) for average, share in zip(self.ema, shares, strict=True)
        )
        return self.replace(step=self.step + 1, params=params, ema=ema, opt_state=opt_state)


def ema_rates(config: ConfigDict) -> tuple[float, ...]:
    """The rates of config.model.ema_rate, one number or several. ValueError unless all are in [0, 1)."""
    rates = config.model.ema_rate
    rates = (rates,) if isinstance(rates, float | int) else tuple(rates)
    if not rates or not all(0 <= rate < 1 for rate in rates):
        raise ValueError(f"config.model.ema_rate={rates} must hold numbers in [0, 1)")
    return rates
