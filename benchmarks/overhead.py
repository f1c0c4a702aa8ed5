"""What sampling costs beyond its network evaluations: images of --mode=sample against as many bare evaluations.

    python -m benchmarks.overhead --batch=4 --nfe=20 --repeats=5 --json=overhead.json

The DDPM CIFAR-10 network; both are timed in turn, and the smallest of the repeats counts. On CPU the seconds are those
of all threads of the process, which what else the machine does changes little. Sampling is what a user waits for: keys,
prior, all steps, uint8 images on the host.
"""

import argparse
import json
import os
import time

METHODS = ("gddim", "ddpm", "em", "heun")


def race(arguments, method):
    """{"sampling", "forwards": seconds for the same number of evaluations, "overhead": their ratio - 1}."""
    import jax
    import numpy as np

    from linnet.configs.vp.cifar10_ddpm import get_config
    from linnet.devices import parallel
    from linnet.engine.experiment import Experiment
    from linnet.engine.generate import Generator

    config = get_config()
    config.model.dtype = arguments.dtype
    config.sampling.method = method
    config.sampling.update({"respacing": str(arguments.nfe)} if method == "ddpm" else {"nfe": arguments.nfe})
    experiment = Experiment(config)
    params = parallel.replicate(experiment.eps_net.init(jax.random.key(0), experiment.shape))
    generator = Generator(experiment.recipe, arguments.batch)
    forward = parallel.parallel(lambda params, u, t: experiment.eps_net.bind(params)(u, t))
    u = parallel.shard(np.zeros((arguments.batch, *experiment.shape), np.float32))
    t = parallel.shard(np.full(arguments.batch, 0.5, np.float32))

    def forwards():
        for _ in range(generator.nfe):
            jax.block_until_ready(forward(params, u, t))

    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    times = {"sampling": [], "forwards": []}
    for _ in range(arguments.repeats + 1):  # the first ones compile
        for name, run in (("sampling", lambda: generator.batch(params, 0)), ("forwards", forwards)):
            start = clock()
            run()
            times[name].append(clock() - start)
    sampling, bare = (min(times[name][1:]) for name in ("sampling", "forwards"))
    return {"nfe": generator.nfe, "sampling": sampling, "forwards": bare, "overhead": sampling / bare - 1}


def main() -> None:
    """Prints what a sampler takes beside its network evaluations, and writes --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4, help="images")
    parser.add_argument("--nfe", type=int, default=20, help="network evaluations")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--json", help="file for the results")
    arguments = parser.parse_args()
    rows = {}
    for method in arguments.methods:
        rows[method] = race(arguments, method) | {"load": os.getloadavg()[0]}
        cells = "  ".join(f"{key} {value:.4g}" for key, value in rows[method].items())
        print(f"{method:8}{cells}", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
