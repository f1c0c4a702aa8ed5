"""Where training keeps what it remembers of every example: nowhere, sharded over the devices, or on the host.

put        host batches -> what `wrap`ped steps take, run ahead of the step
place      TrainState on the host -> replicated state, with its memory
wrap       the compiled step -> (state, what `put` made) -> (state, metrics)
rows       the memory (N, ...) after a step, for a checkpoint; None for nowhere
"""

import jax

from data import memory
from training import parallel


class Nowhere:
    """For objectives that remember nothing."""

    keys = ("image", "label")
    stride = None  # steps per dispatch; None: as many as the config says

    def put(self, batches):
        return parallel.shard_steps([{key: batch[key] for key in self.keys} for batch in batches])

    def place(self, state):
        return parallel.replicate(state)

    def wrap(self, step):
        return step

    def rows(self, state):
        return None


class OnDevices(Nowhere):
    """Each device holds a share of the rows."""

    keys = ("image", "label", "index", "epoch")

    def __init__(self, rows):
        self.initial, self.n = rows, len(rows)

    def place(self, state):
        return (
            super().place(state).replace(memory=parallel.shard(memory.divided(self.initial, jax.local_device_count())))
        )

    def rows(self, state):
        return parallel.unshard(state.memory)[: self.n]


class OnHost(Nowhere):
    """The rows of a batch go to the devices with its step, and come back while the next one runs."""

    keys = ("image", "label", "index", "epoch")
    stride = 1

    def __init__(self, rows):
        self.memory = memory.HostMemory(rows)

    def put(self, batches):
        return super().put(batches), batches[0]

    def wrap(self, step):
        def remembering(state, chunk):
            placed, batch = chunk
            rows = self.memory.recall(batch["index"], batch["epoch"])
            state, metrics = step(state, placed | parallel.shard_steps([{"x_hat": rows}]))
            index, values = (parallel.first(metrics.pop(key))[0] for key in ("index", "x_hat"))
            self.memory.remember(index, values)
            return state, metrics

        return remembering

    def rows(self, state):
        return self.memory.rows()


def make_estimates(experiment, checkpoints):
    """The keeper that the objective and config.training.memory ask for, from the newest checkpoint or from the start.

    ValueError where the checkpoint remembers another number of examples, or of another shape.
    """
    training, dataset = experiment.config.training, experiment.dataset()
    if not experiment.objective.remembers:
        return Nowhere()
    rows = first_rows(experiment) if checkpoints.latest is None else checkpoints.restore_memory()
    if rows.shape != (len(dataset), *experiment.shape):
        raise ValueError(
            f"the estimates of the checkpoint have the shape {rows.shape}, the training images "
            f"{(len(dataset), *experiment.shape)}: train on the same data set"
        )
    sharded = memory.on_devices(training.memory, rows.nbytes, jax.device_count(), jax.process_count())
    return OnDevices(rows) if sharded else OnHost(rows)


def first_rows(experiment):
    """Estimates before the first step: those in the file --ckpt, where it holds some, or noise."""
    found = experiment.published_estimates() if experiment.ckpt is not None else None
    config = experiment.config
    n, dtype = len(experiment.dataset()), config.training.memory_dtype
    rows = memory.initial(config.seed, n, experiment.shape, dtype) if found is None else found
    return rows.astype(memory.DTYPES[dtype])
