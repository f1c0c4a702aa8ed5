"""The very programs that --mode=train and --mode=sample compile, with the shapes of what they take, on any mesh."""

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from linnet.devices import mesh as engine
from linnet.devices.parallel import AXIS
from linnet.engine.generate import Generator
from linnet.engine.steps import own_step


def described(tree, specs, mesh):
    """The shapes of a tree, placed on a mesh as `specs`, a tree or one for all leaves, say."""
    if isinstance(specs, PartitionSpec):
        specs = jax.tree.map(lambda _: specs, tree)
    return jax.tree.map(
        lambda leaf, spec: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, spec)), tree, specs
    )


def training(experiment, mesh, batch, steps):
    """(the jitted step, its arguments): `steps` steps of `batch` images a chip in a dispatch."""
    config, shape = experiment.config, (steps, batch * mesh.size)
    state = jax.eval_shape(experiment.create_state).replace(fixed=experiment.objective.fixed)
    fed = {
        "image": jax.ShapeDtypeStruct((*shape, *experiment.shape), np.uint8),
        "label": jax.ShapeDtypeStruct(shape, np.int32),
    }
    if experiment.objective.keeps_estimates:
        fed["index"] = fed["epoch"] = fed["label"]
        fed["x_hat"] = jax.ShapeDtypeStruct(fed["image"].shape, config.training.memory_dtype)
    placed = described(state, engine.layout(state, mesh.size), mesh)
    own = own_step(experiment.objective, config, mesh.devices.flat[0].platform)
    step = engine.parallel_steps(own, mesh)
    return step, (placed, described(fed, PartitionSpec(None, AXIS), mesh))


def sampling(experiment, mesh, batch, _):
    """(the jitted sampler, its arguments): `batch` images a chip."""
    generator = Generator(experiment.recipe, batch * mesh.size)
    params = jax.eval_shape(experiment.create_state).params
    index = np.arange(batch * mesh.size, dtype=np.int32)
    rows = described((index, experiment.conditions(index)), engine.ROWS, mesh)
    specs = (engine.COPIED, engine.ROWS, engine.ROWS)
    found = (engine.ROWS, engine.COPIED, engine.ROWS)
    run = jax.shard_map(generator.images, mesh=mesh, in_specs=specs, out_specs=found, check_vma=False)
    return jax.jit(run), (described(params, engine.COPIED, mesh), *rows)


PROGRAMS = {"train": training, "sample": sampling}
