"""Where training keeps what it remembers of every example: nowhere, sharded over the devices, or on the host.

put        host batches -> what `wrap`ped steps take, run ahead of the step
place      TrainState on the host -> replicated state, with its memory
wrap       the compiled step -> (state, what `put` made) -> (state, metrics)
rows       the memory (N, ...) after a step, for a checkpoint, which copies it; None for nowhere
"""

import jax

from linnet.devices import parallel
from linnet.training import estimates


class Keeper:
    """For objectives that remember nothing, and the base of the others."""

    fields = ("image", "label")
    stride = None  # steps per dispatch; None: as many as the config says
    place_name = ""

    def put(self, batches):
        return parallel.shard_steps([{name: batch[name] for name in self.fields} for batch in batches])

    def place(self, state):
        return parallel.replicate(state)

    def wrap(self, step):
        return step

    def rows(self, state):
        return None


class OnDevices(Keeper):
    """Each device holds a share of the rows."""

    fields = (*Keeper.fields, "index", "epoch")
    place_name = "divided between the devices"

    def __init__(self, rows):
        self.n, self._sharded = len(rows), parallel.share(estimates.divided(rows, jax.device_count()))

    def place(self, state):
        return super().place(state).replace(memory=self._sharded)

    def rows(self, state):
        return parallel.whole(state.memory)[: self.n]


class OnHost(Keeper):
    """The rows of a batch go to the devices with its step, and come back while the next one runs."""

    fields = OnDevices.fields
    stride = 1
    place_name = "on the host, one step per dispatch"

    def __init__(self, rows):
        self.memory = estimates.HostMemory(rows)

    def put(self, batches):
        return super().put(batches), batches[0]

    def wrap(self, step):
        def remembering(state, chunk):
            placed, batch = chunk
            x_hat = self.memory.recall(batch["index"], batch["epoch"])
            state, metrics = step(state, placed | parallel.shard_steps([{"x_hat": x_hat}]))
            index, values = (parallel.first(metrics.pop(name))[0] for name in ("index", "x_hat"))
            self.memory.remember(index, values)
            return state, metrics

        return remembering

    def rows(self, state):
        return self.memory.rows()


def make_keeper(experiment, rows, say=print):
    """The Keeper that the objective and config.training.memory ask for.

    rows: what is remembered at the start (N, ...), None where nothing is. say: told where the estimates are.
    ValueError where they are of other examples.
    """
    training, dataset = experiment.config.training, experiment.dataset()
    if not experiment.objective.remembers:
        return Keeper()
    dtype = estimates.dtype_of(training.memory_dtype)
    if rows.shape != (len(dataset), *experiment.shape):
        raise ValueError(
            f"the estimates of the checkpoint have the shape {rows.shape}, the training images "
            f"{(len(dataset), *experiment.shape)}: train on the same data set"
        )
    rows = rows.astype(dtype, copy=False)
    keeper = (OnDevices if estimates.on_devices(training.memory, rows.nbytes, jax.device_count()) else OnHost)(rows)
    say(f"estimates of {len(rows)} examples, {rows.nbytes / 2**20:.1f} MiB of {rows.dtype}, {keeper.place_name}")
    return keeper
