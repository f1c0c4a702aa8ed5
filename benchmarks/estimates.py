"""What DDDM's estimates cost: training steps with the estimates on the device, on the host, and with none at all.

    python -m benchmarks.estimates --batch=16 --steps=10 --json=estimates.json

The CIFAR-10 network of configs/dddm/cifar10_vp.py and 50,000 estimates in float16. "none" feeds the same estimates at
every step and keeps nothing. Steps are dispatched as in training, without waiting for each other.
"""

import time

import numpy as np

from benchmarks.contestants import jax_memory, race

EXAMPLES = 50_000


def linnet(arguments, make_keeper):
    """Seconds per step with the keeper made from the first rows (N, H, W, C)."""
    import jax

    from linnet.configs.dddm.cifar10_vp import get_config
    from linnet.engine.experiment import Experiment
    from linnet.engine.steps import train_step
    from linnet.training import estimates

    config = get_config()
    config.model.dtype = arguments.dtype
    experiment = Experiment(config)
    rows = estimates.initial(0, EXAMPLES, experiment.shape, config.training.memory_dtype)
    keeper = make_keeper(rows, arguments.batch)
    state, run = (
        keeper.place(experiment.create_state()),
        keeper.wrap(train_step(experiment.objective, experiment.config)),
    )
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (arguments.batch, *experiment.shape), np.uint8)
    order = random.permutation(EXAMPLES).astype(np.int32)

    def dispatch(k):
        nonlocal state
        index = order[k * arguments.batch : (k + 1) * arguments.batch]
        batch = {"image": images, "label": index, "index": index, "epoch": np.zeros_like(index)}
        state, metrics = run(state, keeper.put([batch]))
        return metrics

    jax.block_until_ready([dispatch(0), dispatch(1)])
    start = time.perf_counter()
    jax.block_until_ready([dispatch(2 + k) for k in range(arguments.steps)])
    took = (time.perf_counter() - start) / arguments.steps
    return {"images_per_s": arguments.batch / took, "s_per_step": took} | jax_memory()


def device(rows, batch):
    """Rows on the device."""
    from linnet.training.keeper import OnDevices

    return OnDevices(rows)


def host(rows, batch):
    """Rows on the host."""
    from linnet.training.keeper import OnHost

    return OnHost(rows)


def none(rows, batch):
    """Always the same estimates."""
    from linnet.devices import parallel
    from linnet.training.keeper import OnHost

    class Constant(OnHost):
        def wrap(self, step):
            fed = parallel.shard_steps([{"x_hat": rows[:batch]}])

            def forgetting(state, chunk):
                state, metrics = step(state, chunk[0] | fed)
                return state, {"loss": metrics["loss"]}

            return forgetting

    return Constant(rows)


if __name__ == "__main__":
    CONTESTANTS = {
        name: lambda arguments, keeper=keeper: linnet(arguments, keeper)
        for name, keeper in (("none", none), ("device", device), ("host", host))
    }
    race("benchmarks.estimates", CONTESTANTS, __doc__)
