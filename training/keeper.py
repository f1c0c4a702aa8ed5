"""Where training keeps its estimates of all examples: nowhere, sharded over the devices, or on the host.

put        host batches -> what `wrap`ped steps take, run ahead of the step
place      TrainState on the host -> replicated state, with its estimates
wrap       the compiled step -> (state, what `put` made) -> (state, metrics)
estimates  the estimates (N, ...) after a step, for a checkpoint, which copies it; None for nowhere

engine: one of devices.engines.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from linnet.devices import parallel
from linnet.devices.engines import ENGINES
from linnet.training import estimates
from linnet.training.state import TrainState


class Keeper:
    """For objectives without estimates, and the base of the others."""

    fields: tuple[str, ...] = ("image", "label")
    stride: int | None = None  # steps per dispatch; None: as many as the config says
    place_name = ""

    def __init__(self, engine=parallel):
        self.engine = engine

    def put(self, batches: list[dict[str, np.ndarray]]) -> Any:
        """What a dispatch takes, on the devices, of host batches; run ahead of the step."""
        return self.engine.shard_steps([{name: batch[name] for name in self.fields} for batch in batches])

    def place(self, state: TrainState) -> TrainState:
        """The state of one on the host on the devices, with the estimates of this keeper."""
        return self.engine.place(state)

    def wrap(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The compiled step as one of (state, what `put` made) that reads and keeps estimates."""
        return step

    def estimates(self, state: TrainState) -> np.ndarray | None:
        """The estimates (N, ...) after every step so far, for a checkpoint; None where there are none."""
        return None


class OnDevices(Keeper):
    """Each device holds a share of the rows."""

    fields = (*Keeper.fields, "index", "epoch")
    place_name = "divided between the devices"

    def __init__(self, rows, engine=parallel):
        super().__init__(engine)
        self.n = len(rows)
        self._sharded = engine.share(estimates.divided(rows, jax.device_count()))

    def place(self, state: TrainState) -> TrainState:
        return super().place(state).replace(estimates=self._sharded)

    def estimates(self, state: TrainState) -> np.ndarray | None:
        return self.engine.whole(state.estimates)[: self.n]


class OnHost(Keeper):
    """The rows of a batch go to the devices with its step, and come back while the next one runs."""

    fields = OnDevices.fields
    stride = 1
    place_name = "on the host, one step per dispatch"

    def __init__(self, rows, engine=parallel):
        super().__init__(engine)
        self._all = estimates.HostEstimates(rows)

    def put(self, batches: list[dict[str, np.ndarray]]) -> Any:
        return super().put(batches), batches[0]

    def wrap(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def keeping(state, chunk):
            placed, batch = chunk
            x_hat = self._all.read(batch["index"], batch["epoch"])
            state, metrics = step(state, placed | self.engine.shard_steps([{"x_hat": x_hat}]))
            index, values = (self.engine.first(metrics.pop(name))[0] for name in ("index", "x_hat"))
            self._all.write(index, values)
            return state, metrics

        return keeping

    def estimates(self, state: TrainState) -> np.ndarray | None:
        return self._all.whole()


def make_keeper(
    settings: ConfigDict, values: np.ndarray | None, shape: tuple[int, ...], say: Callable[[str], Any] = print
) -> Keeper:
    """The Keeper that config.training (`settings`) asks for by its keys engine, memory and memory_dtype.

    values: the estimates at the start (N, ...), None for objectives that keep none. shape: that of all training images
    (N, ...). say: told where the estimates are. ValueError where they are of other examples.
    """
    engine = ENGINES[settings.engine]
    if values is None:
        return Keeper(engine)
    if values.shape != shape:
        raise ValueError(
            f"the estimates of the checkpoint have the shape {values.shape}, the training images {shape}: train on the "
            "same data set"
        )
    values = values.astype(estimates.dtype_of(settings.memory_dtype), copy=False)
    on_devices = estimates.on_devices(settings.memory, values.nbytes, jax.device_count())
    keeper = (OnDevices if on_devices else OnHost)(values, engine)
    say(f"estimates of {len(values)} examples, {values.nbytes / 2**20:.1f} MiB of {values.dtype}, {keeper.place_name}")
    return keeper
