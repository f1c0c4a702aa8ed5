"""The engines of training are one training: the same numbers, and under mesh no moment or average is whole anywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from configs.default import get_config
from devices import mesh
from devices.engines import ENGINES
from engine.experiment import Experiment
from engine.steps import own_step
from training.keeper import Keeper

BATCH = 16


def config():
    c = get_config("cld", "mlp")
    c.data.update(dataset="points", num_points=100)
    c.model.update(nf=16, num_res_blocks=1, dropout=0.1, ema_rate=(0.9, 0.5))
    c.optim.update(optimizer="AdamW", weight_decay=0.1, lr=1e-2, warmup=0, grad_clip=0.1)
    return c


class Run:
    """Two steps by an engine: the state and metrics after them, on the devices and, the state, on the host."""

    def __init__(self, name):
        experiment = Experiment(config())
        self.keeper = Keeper(ENGINES[name])
        self.engine = self.keeper.engine
        self.steps = self.engine.parallel_steps(own_step(experiment.objective, experiment.config, "cpu"))
        self.host, self.state, self.metrics = self.go_on(experiment.create_state(), chunk=1)

    def go_on(self, state, chunk):
        """(state on the host, state, metrics) two steps after a state on the host, `chunk` of them in a dispatch."""
        points = np.random.default_rng(0).standard_normal((2, BATCH, 2)).astype(np.float32)
        batches = [{"image": x, "label": np.zeros(BATCH, np.int32)} for x in points]
        state = self.keeper.place(state)
        for begin in range(0, 2, chunk):
            put = self.keeper.put(batches[begin : begin + chunk])
            state, metrics = jax.block_until_ready(self.steps(state, put))
        return self.engine.to_host(state), state, metrics


@pytest.fixture(scope="module")
def runs():
    return {name: Run(name) for name in ENGINES}


def assert_same(found, wanted):
    """Sums over the parts of the norm are taken in another order: a few roundings of float32."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(b).max(initial=0)))


def test_engines_give_the_same_state_and_metrics(runs):
    """The gradients are clipped, by a norm of which each device has a part."""
    one, other = runs["mesh"], runs["pmap"]
    assert_same(one.host, other.host)
    first, second = (run.engine.first(run.metrics) for run in (one, other))
    assert_same(first, second)
    assert float(first["grad_norm"][0]) > 0.1


def test_moments_and_averages_are_divided_and_nothing_else(runs):
    """Measured on the device, and as the estimate says; arrays without an axis that the devices divide stay whole."""
    state, devices = runs["mesh"].state, jax.device_count()
    for field, parts in (("params", 1), ("ema", devices), ("opt_state", devices)):
        leaves = jax.tree.leaves(getattr(state, field))
        for leaf in leaves:
            allowed = any(size % devices == 0 for size in leaf.shape)
            assert shard_bytes(leaf) * (parts if allowed else 1) == leaf.nbytes
        assert sum(map(shard_bytes, leaves)) * parts < 1.05 * sum(leaf.nbytes for leaf in leaves)
    assert sum(map(shard_bytes, jax.tree.leaves(state))) == mesh.bytes_on_device(state, jax.device_count())
    assert runs["mesh"].steps._cache_size() == 1


def shard_bytes(array):
    return array.addressable_shards[0].data.nbytes


def test_each_goes_on_from_the_state_of_the_other_and_steps_may_share_a_dispatch(runs):
    steps = int(runs["pmap"].host.step)
    wanted = runs["pmap"].go_on(runs["mesh"].host, chunk=1)[0]
    found = runs["mesh"].go_on(runs["pmap"].host, chunk=2)[0]
    assert wanted.step == steps + 2
    assert_same(found, wanted)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((3, 3, 128, 256), PartitionSpec(None, None, None, "batch")),
        ((3, 3, 256, 128), PartitionSpec(None, None, "batch")),
        ((20, 24), PartitionSpec(None, "batch")),
        ((24, 20), PartitionSpec("batch")),
        ((20, 100), PartitionSpec()),
        ((), PartitionSpec()),
    ],
)
def test_the_largest_axis_that_eight_devices_divide_is_divided(shape, spec):
    assert mesh.divided(jax.ShapeDtypeStruct(shape, jnp.float32), 8) == spec


def test_the_first_step_writes_over_the_placed_state_and_not_over_the_host_s():
    """Memory shared with the host would not be donated: the first step would then need the state twice."""
    engine = ENGINES["pmap"]
    host = {"w": jnp.ones((64, 64))}
    placed = engine.place(host)
    before = placed["w"].addressable_shards[0].data.unsafe_buffer_pointer()
    step = engine.parallel_steps(lambda state, batch: (jax.tree.map(lambda w: w + batch, state), batch))
    after, _ = step(placed, engine.shard_steps([np.ones(jax.local_device_count(), np.float32)]))
    assert after["w"].addressable_shards[0].data.unsafe_buffer_pointer() == before
    np.testing.assert_array_equal(host["w"], 1.0)
    np.testing.assert_array_equal(engine.first(after)["w"], 2.0)
