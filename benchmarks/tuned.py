"""Tuned tables on the exact mixtures of benchmarks.work_precision: adds the samplers "tuned log" and
"tuned square" to its JSON and picture.

    python -m benchmarks.tuned --out docs/results                       what --mode=tune finds with depth gradient

For each process and budget tables of gddim (orders 1, 2 and 3 of its polynomial), gddim_pec and unipc, with and without
the analytic first step, are tried on the grids of the library, and the best of them, by --loss, is tuned.
Errors are those of the starts of work_precision, which were not tuned on, to the same 2,000-step trajectories.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.shown import print_table, save_picture
from benchmarks.work_precision import Bench, mixture, processes, run
from linnet.engine.tuning import hand_made
from linnet.samplers import SAMPLERS
from linnet.samplers.tuning import LOSSES, Starts, Tuner, split

BATCH = 512
METHODS = [("gddim", {"deis_order": order}) for order in (1, 2, 3)] + [("gddim_pec", {}), ("unipc", {})]


def starts_of(bench, key, n, steps):
    """n other starts of the process and their ends after `steps` of gddim of order 3."""
    u = bench.sde.prior(jax.random.key(key), (n, 8, 8, 1)).astype(jnp.float64)
    fine = bench.sampler("gddim", steps, {"deis_order": 3})
    return Starts(u, bench.sde.project(run(fine, bench.eps_fn, bench.step, None, u)), None)


def beginning(bench, nfe, seen, settings):
    """(label, Tuner, Parameters) of the untuned table with the smallest loss on `seen`."""
    found = []
    for method, keys in METHODS:
        for first in (False, True):
            sampler = SAMPLERS[method](bench.sde, nfe=nfe, noise_removal=False, analytic_first=first, **keys)
            tuner = Tuner(sampler, lambda params, condition: bench.eps_fn, None, settings.history, settings.loss)
            for grid, times in hand_made(sampler).items():
                begun = tuner.begin(times)
                label = " ".join([method, str(keys.get("deis_order", "")), grid, "analytic_first" * first])
                found.append((tuner.loss_of(begun, seen), label, tuner, begun))
    return min(found, key=lambda each: each[0])[1:]


def tuned_ends(bench, nfe, seen, settings):
    """(ends from the starts of `bench`, how) of the tuned table; a quarter of `seen` chooses where to stop."""
    stop = jax.tree.map(lambda a: a[: len(a) // 4], seen)
    learn = jax.tree.map(lambda a: a[len(a) // 4 :], seen)
    label, tuner, begun = beginning(bench, nfe, split(learn, 256)[0], settings)
    met = [begun]
    tuner.descend(begun, learn, BATCH, settings.iterations, met.append)
    rows = tuner.tuned(min(met, key=lambda each: tuner.loss_of(each, stop))).rows
    ends = [tuner.ends(rows, Starts(bench.u_T[k : k + BATCH], None, None)) for k in range(0, len(bench.u_T), BATCH)]
    return np.concatenate([np.asarray(end).reshape(len(end), -1) for end in ends]), label


def main() -> None:
    """Tunes every process at every budget, and puts the rows and the picture beside those of work_precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="docs/results", help="folder of work_precision.json and .png")
    parser.add_argument("--processes", nargs="+", default=list(processes()))
    parser.add_argument("--nfe", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--starts", type=int, default=2048, help="starts to tune on")
    parser.add_argument("--fine", type=int, default=400, help="steps of the trajectories that are tuned to")
    parser.add_argument("--iterations", type=int, default=80)
    parser.add_argument("--history", type=int, default=4)
    parser.add_argument("--loss", choices=LOSSES, default="log")
    settings = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    path = Path(settings.out, "work_precision.json")
    for name in settings.processes:
        bench = Bench(name, processes()[name], mixture(), 2048)
        seen = starts_of(bench, 11, settings.starts, settings.fine)
        for nfe in settings.nfe:
            began = time.time()
            x, label = tuned_ends(bench, nfe, seen, settings)
            row = {"process": name, "sampler": f"tuned {settings.loss}", "nfe": nfe} | bench.errors(x, False)
            print(row | {"from": label, "seconds": round(time.time() - began)}, flush=True)
            rows = [old for old in json.loads(path.read_text()) if key_of(old) != key_of(row)]
            path.write_text(json.dumps([*rows, row], indent=1))
    rows = json.loads(path.read_text())
    for quantity in ("rms", "median"):
        print_table(rows, quantity)
    save_picture(rows, Path(settings.out, "work_precision.png"))


def key_of(row):
    """What tells a row from others."""
    return row["process"], row["sampler"], row["nfe"]


if __name__ == "__main__":
    main()
