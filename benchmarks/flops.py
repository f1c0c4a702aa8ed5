"""FLOPs of a training step that its convolutions and matrix products need, against those that XLA counts before it
compiles, for named experiments; and the bytes of their states on each device under both engines.

    python -m benchmarks.flops --json=flops.json

Nothing is compiled. A product of (m, k) and (k, n) is 2 m n k FLOPs; a convolution 2 for each pair of an output and an
input that is no padding and no hole of a dilation, for every pair of channels.
"""

import argparse
import collections
import json
import math

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

NAMES = (
    "cld/cifar10_accelerated",
    "ve/cifar10_ncsnpp_deep",
    "blur/cifar10",
    "dddm/cifar10_vp",
    "iddpm/imagenet64_class",
    "edm/imagenet64_adm",
    "guided/imagenet256",
)
DEVICES = 8


def flops(equation):
    """FLOPs of a convolution or matrix product."""
    return PRODUCTS[equation.primitive.name](equation)


def traffic(equation):
    """Bytes of the factors of a convolution or matrix product and of its result: of memory that meets each once."""
    return sum(v.aval.size * v.aval.dtype.itemsize for v in (*equation.invars, *equation.outvars))


def count(jaxpr, of=flops):
    """{dtype of the factors: the sum of `of`} over the convolutions and matrix products of a jaxpr.

    In loops as often as they run; of branches the costliest counts; inside shard_map it is the work of one device.
    ValueError for a product inside a loop of unknown length.
    """
    return sum((_of_equation(one, of) for one in getattr(jaxpr, "jaxpr", jaxpr).eqns), collections.Counter())


def _of_equation(equation, of):
    if equation.primitive.name in PRODUCTS:
        return collections.Counter({str(equation.invars[0].aval.dtype): of(equation)})
    inner = [count(jaxpr, of) for jaxpr in _inner(equation.params)]
    if equation.primitive.name == "cond":
        return max(inner, key=collections.Counter.total)
    total = sum(inner, collections.Counter())
    if equation.primitive.name == "while" and total:
        raise ValueError("a convolution or matrix product in a loop of unknown length")
    times = equation.params.get("length", 1)
    return collections.Counter({dtype: times * value for dtype, value in total.items()})


def _inner(params):
    """The jaxprs among the parameters of an equation, alone or in a sequence."""
    for value in params.values():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, Jaxpr | ClosedJaxpr):
                yield one


def _of_product(equation):
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)


def _of_convolution(equation):
    params, (image, kernel) = equation.params, (variable.aval.shape for variable in equation.invars)
    out, numbers = equation.outvars[0].aval.shape, params["dimension_numbers"]
    pairs = 1
    for i, padding in enumerate(params["padding"]):
        sizes = image[numbers.lhs_spec[2 + i]], kernel[numbers.rhs_spec[2 + i]], out[numbers.out_spec[2 + i]]
        steps = (params[name][i] for name in ("window_strides", "lhs_dilation", "rhs_dilation"))
        pairs *= meetings(*sizes, padding[0], *steps)
    channels = out[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    return 2 * out[numbers.out_spec[0]] * channels * pairs


def meetings(n, taps, out, padding, stride, hole, spread):
    """Pairs of an output and a tap of the kernel that meet an input, along one axis.

    n inputs lie `hole` apart after `padding` places, taps lie `spread` apart, outputs `stride`.
    """
    place = stride * np.arange(out)[:, None] + spread * np.arange(taps) - padding
    return int(((place >= 0) & (place % hole == 0) & (place < n * hole)).sum())


PRODUCTS = {"dot_general": _of_product, "conv_general_dilated": _of_convolution}


def row(name, batch):
    """What the experiment `name` needs, per image of a batch of so many on one device."""
    import jax

    from benchmarks.programs import training
    from linnet import config_file
    from linnet.devices import mesh, parallel
    from linnet.engine.experiment import Experiment

    experiment = Experiment(config_file.load(f"configs/{name}.py"))
    state = jax.eval_shape(experiment.create_state)
    step, arguments = training(experiment, mesh.mesh_of(jax.devices()[:1]), batch, 1)
    traced = step.trace(*arguments)
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "analytic_flops": count(traced.jaxpr).total() / batch,
        "xla_flops": traced.lower().cost_analysis()["flops"] / batch,
        "state_bytes_pmap": parallel.bytes_on_device(state, DEVICES),
        "state_bytes_mesh": mesh.bytes_on_device(state, DEVICES),
    }


def main() -> None:
    """Prints a table of the products of a training step, and writes --json after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    arguments = parser.parse_args()
    rows = {}
    print("| experiment | parameters | analytic GFLOP/image | XLA's, of all operations | ratio |")
    print("|---|---|---|---|---|")
    for name in arguments.only:
        rows[name] = r = row(name, arguments.batch)
        exact, counted = r["analytic_flops"], r["xla_flops"]
        cells = f"{r['parameters'] / 1e6:.1f} M | {exact / 1e9:.2f} | {counted / 1e9:.2f} | {counted / exact:.3f}"
        print(f"| {name} | {cells} |", flush=True)
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
