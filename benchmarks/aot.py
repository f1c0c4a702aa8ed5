"""The very training step and the very sampler, compiled for TPUs that are not there: memory, FLOPs, bytes, bounds.

    pip install '.[aot]'
    python -m benchmarks.aot --config=configs/cld/cifar10_accelerated.py --topology=v5e:2x2 --batch=128 --steps=5 \
      --json=aot.json --config.model.dtype=bfloat16

The step is that of config.training.engine=mesh on all chips of the topology, --steps of them in a dispatch
(training.n_jitted_steps); with --what=sample it is the sampler of the config. --batch counts the images of one chip.
Rows are added to the file of --json; what stands there already is not compiled again. Minutes for small networks.

images_per_s is the roofline: the smaller of what the peak rates of a chip (CHIPS) allow for FLOPs and for the bytes
between its memory and the chip (benchmarks.hbm), of a training step or of one step of a sampler. XLA's own bytes
("bytes") are also those that stay on the chip. XLA counts the body of a loop once, so --steps must be at least 2.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the machine at hand; the TPU is only described
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no metadata server to ask
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # nor a device that only one process may hold

from jax.experimental import topologies

from benchmarks.flops import count, traffic
from benchmarks.hbm import moved
from benchmarks.programs import PROGRAMS
from linnet import config_file, overrides, registry
from linnet.devices.mesh import mesh_of
from linnet.engine.experiment import Experiment

CHIPS = {
    "v5e": {"flops_per_s": 197e12, "bytes_per_s": 819e9, "memory": 16e9},
    "v6e": {"flops_per_s": 918e12, "bytes_per_s": 1640e9, "memory": 32e9},
}
"""Peaks of one chip, from https://cloud.google.com/tpu/docs/v6e, which shows both. The products are bfloat16 ones,
which XLA also makes of float32 factors unless a higher precision is asked for."""


def target(topology):
    """The mesh of the chips of a topology like "v5e:2x2". ImportError without libtpu."""
    if "TPU_LIBRARY_PATH" not in os.environ:
        import libtpu

        os.environ["TPU_LIBRARY_PATH"] = libtpu.get_library_path()
    return mesh_of(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)


def compiled(run, arguments):
    """What XLA says of the compiled program of one chip, the seconds it took, and what its products need.

    Bytes of memory; FLOPs; bytes of all operations, and of those that reach HBM; products: FLOPs; traffic: bytes.
    """
    traced = run.trace(*arguments)
    start = time.perf_counter()
    program = traced.lower().compile()
    took = time.perf_counter() - start
    cost, memory = program.cost_analysis(), program.memory_analysis()
    return {
        "compile_s": took,
        "flops": cost["flops"],
        "bytes": cost["bytes accessed"],
        "hbm_bytes": moved(program.as_text()),
        "argument_bytes": memory.argument_size_in_bytes,
        "result_bytes": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "products": dict(count(traced.jaxpr)),
        "traffic": count(traced.jaxpr, traffic).total(),
    }


def judged(found, chip, batch, repeats):
    """What follows for a chip from what `compiled` found for a batch; repeats: how often the loop of the program runs.

    largest_batch takes all temporary memory to grow with the batch: more may fit. `flops` and `bytes` are those of one
    run of the loop, `products` and `traffic` of all. HBM's bytes are set beside those of a step that reads the factors
    of its products and writes their results, and reads and writes what it is given (the state), once each.
    """
    peak = CHIPS[chip]
    memory = sum(found[f"{part}_bytes"] for part in ("argument", "result", "temporary", "code"))
    room = peak["memory"] - memory + found["temporary_bytes"]
    bounds = {
        "images_per_s_by_flops": batch * peak["flops_per_s"] / found["flops"],
        "images_per_s_by_bytes": batch * peak["bytes_per_s"] / found["hbm_bytes"],
    }
    needed = sum(found["products"].values()) / repeats
    moves = found["traffic"] / repeats + 2 * found["argument_bytes"]
    return {
        "memory_bytes": memory,
        "share_of_memory": memory / peak["memory"],
        "largest_batch": int(batch * room / found["temporary_bytes"]),
        "flops_per_image": found["flops"] / batch,
        "flops_over_products": found["flops"] / needed,
        "products_in_float32": found["products"].get("float32", 0) / repeats / needed,
        "bytes_per_image": found["bytes"] / batch,
        "hbm_bytes_per_image": found["hbm_bytes"] / batch,
        "hbm_bytes_over_needed": found["hbm_bytes"] / moves,
        **bounds,
        "images_per_s": min(bounds.values()),
    }


def main() -> None:
    """Prints the row that the command line asks for, and keeps it in --json, where it is found the next time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/cld/cifar10_accelerated.py")
    parser.add_argument("--topology", default="v5e:2x2", help="chip and shape: v5e:2x2, v5e:8x8, v6e:2x2 ...")
    parser.add_argument("--what", choices=PROGRAMS, default="train")
    parser.add_argument("--batch", type=int, default=128, help="images of one chip")
    parser.add_argument("--steps", type=int, default=5, help="training steps in a dispatch")
    parser.add_argument("--json", help="file of rows, to which this one is added")
    rest, texts = overrides.split(sys.argv[1:])
    arguments = parser.parse_args(rest)
    asked = {name: value for name, value in vars(arguments).items() if name != "json"} | {"changed": texts}
    rows = []
    if arguments.json and os.path.exists(arguments.json):
        with open(arguments.json) as file:
            rows = json.load(file)
    row = next((row for row in rows if row["asked"] == asked), None)
    if row is None:
        row = new_row(asked)
        rows.append(row)
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump(rows, file, indent=2)
    print(json.dumps(row, indent=2))


def new_row(asked):
    """{"asked", "found", "judged"} of what the command line asked for, compiled now."""
    chip = asked["topology"].partition(":")[0]
    registry.check(CHIPS, chip, "--topology")
    mesh = target(asked["topology"])
    experiment = Experiment(overrides.apply(config_file.load(asked["config"]), asked["changed"]))
    steps = asked["steps"] if asked["what"] == "train" else experiment.config.sampling.nfe
    found = compiled(*PROGRAMS[asked["what"]](experiment, mesh, asked["batch"], steps))
    return {"asked": asked, "found": found, "judged": judged(found, chip, asked["batch"], steps)}


if __name__ == "__main__":
    main()
