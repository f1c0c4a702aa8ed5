"""One trained network under several processes: what a process is worth once the integrator is exact.

    python -m benchmarks.one_checkpoint --workdir runs/vp_digits          writes docs/results/one_checkpoint.md

The network of the run makes images under each process (models.transfer), by samplers with their defaults, with few
evaluations. Of each are measured

    distance   Frechet distance of --images images to the training images, in the features of eval.extractor
    rms        root mean square, over --starts images and pixels, from where a fine integration of the same process
               (gddim of order 3, FINE evaluations) takes the same start, in the range of the model
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.work_precision import run
from linnet import config_file, overrides
from linnet.engine.experiment import Experiment
from linnet.engine.pictures import as_stored
from linnet.engine.reference import load_extractor, make_reference
from linnet.evaluation.collect import collect
from linnet.evaluation.report import compute_metrics
from linnet.randomness import Part, Purpose, fold, key_for
from linnet.samplers.exponential import advance

PROCESSES = {"vp": {}, "ve": {"sigma_max": "12"}, "cld": {}, "pld": {}}
METHODS = ("gddim", "unipc", "dpmpp_2m")
BUDGETS = (5, 8, 10, 20, 50)
FINE = 200
HEAD = """# One checkpoint under several processes

Made by `python -m benchmarks.one_checkpoint --workdir WORKDIR`: the network that `{config}` trained under {own}
({steps} steps) draws the images under each process, with samplers as they are by default. Columns are network
evaluations: first the Fréchet distance of {images} images to the training images in the features of the digits'
classifier, then, in italics, the root mean square distance of {starts} images to a trajectory of {fine} evaluations
from the same starts (images lie in [-1, 1]).
"""


def experiment_of(workdir, process, keys):
    """The run's Experiment with its network under `process`, with these keys of it."""
    config = config_file.load(workdir)
    texts = {"network_sde.name": config.sde.name, "sde.name": process}
    return Experiment(overrides.apply(config, texts | {f"sde.{key}": text for key, text in keys.items()}), workdir)


class Images:
    """Images of the config's seed under one process, and their two figures."""

    def __init__(self, experiment, n, starts):
        config = experiment.config
        self.experiment = experiment
        eps_fn = experiment.carried.bind(experiment.trained.params)
        self.eps_fn = eps_fn
        self.step = jax.jit(lambda u, past, row, keys, i: advance(eps_fn, u, past, row, keys, i))
        keys = fold(key_for(config.seed, Purpose.SAMPLING), jnp.arange(n))
        self.u_T = experiment.sde.prior(fold(keys, Part.PRIOR), (n, *experiment.shape))
        self.fine = self.images("gddim", FINE, self.u_T[:starts], deis_order=3)
        self.extractor = load_extractor(config.eval)
        source = experiment.dataset(config.eval.split)
        self.reference = make_reference(source, config.eval.split, self.extractor, experiment.paths.workdir)

    def images(self, method, nfe, u_T=None, **keys):
        """Images in the range of the model, float32 (n, H, W, C)."""
        sampler = self.experiment.sampler_with(method=method, nfe=nfe, **keys)
        u = run(sampler, self.eps_fn, self.step, None, self.u_T if u_T is None else u_T)
        return np.asarray(self.experiment.sde.project(u))

    def distance(self, x):
        """Frechet distance of images x (n, H, W, C)."""
        stored = np.asarray(as_stored(jnp.asarray(x), self.experiment.config.data.centered))
        samples = collect(self.extractor, [stored], keep=len(x))
        return next(iter(compute_metrics(samples, self.reference, self.extractor).values()))

    def rms(self, x):
        """Distance to the fine trajectory."""
        return float(np.sqrt(((x[: len(self.fine)] - self.fine) ** 2).mean()))


def rows(workdir, images, starts):
    """Lines of markdown: of each process and sampler the distances, then the rms."""
    yield "| process | sampler |" + "".join(f" {n} |" for n in BUDGETS) + "".join(f" *{n}* |" for n in BUDGETS)
    yield "|---|---|" + "---|" * (2 * len(BUDGETS))
    for process, keys in PROCESSES.items():
        experiment = experiment_of(workdir, process, keys)
        made = Images(experiment, images, starts)
        for method in METHODS:
            x = [made.images(method, nfe) for nfe in BUDGETS]
            cells = [f"{made.distance(each):.3g}" for each in x] + [f"*{made.rms(each):.2g}*" for each in x]
            yield f"| {process} | {method} | " + " | ".join(cells) + " |"


def main() -> None:
    """Writes one_checkpoint.md into --out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", required=True, help="of a run: configs/vp/digits.py")
    parser.add_argument("--out", default="docs/results", help="folder of one_checkpoint.md")
    parser.add_argument("--images", type=int, default=500, help="of a distance")
    parser.add_argument("--starts", type=int, default=100, help="whose fine trajectories are followed")
    args = parser.parse_args()
    config = config_file.load(args.workdir)
    steps = Experiment(config, args.workdir).trained.name
    names = {"config": f"configs/{config.sde.name}/{config.data.dataset}.py", "own": config.sde.name, "steps": steps}
    lines = [HEAD.format(**names, images=args.images, starts=args.starts, fine=FINE)]
    for line in rows(args.workdir, args.images, args.starts):
        print(line, flush=True)
        lines.append(line)
    Path(args.out, "one_checkpoint.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
