"""Error against network evaluations, for every sampler and process, on data whose eps is known exactly.

    python -m benchmarks.work_precision --out docs/results            table on the screen, JSON and PNG in that folder

The data are a mixture of 32 Gaussians of standard deviation 0.1 around scikit-learn's first digits: 8 x 8 pixels, 64
dimensions. Two errors of what a sampler gives at t_min, without denoising step, in float64:

    rms   to where a fine integration (gddim of order 3, 2,000 steps) takes the same start; deterministic samplers only
    sw    sliced Wasserstein distance to exact samples of the data, 128 directions

If the Python at --peer_python has diffusers and torch, its DEIS, DPM-Solver++ and UniPC schedulers run on VP in the
same run: same eps, start, schedule (DDPM's 1,000 betas) and end (their sigma_min), with both of their spacings.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import samplers
from samplers.exponential import Recursion, advance
from sde_lib import SDES, exact
from sde_lib.base import example_keys

FINE_STEPS = 2000
ENTRIES = {  # label -> (method, keys); the others of SAMPLERS run with their defaults
    "euler": ("em", {"lambda_coef": 0.0}),
    "gddim order 1": ("gddim", {"deis_order": 1}),
    "gddim order 3": ("gddim", {"deis_order": 3}),
    "sdeis order 1": ("sdeis", {"deis_order": 1}),
    "rho_rk 4rk": ("rho_rk", {"rk_method": "4rk"}),
    "heun churn": ("heun", {"s_churn": 5.0}),
}
SKIP = ("deis", "mldeis", "ode")  # aliases, and a budget that is a tolerance


def mixture():
    """Means (32, 8, 8, 1) in [-1, 1] and variances (32,)."""
    from sklearn.datasets import load_digits

    return load_digits().images[:32, :, :, None] / 8 - 1, np.full(32, 0.01)


def processes():
    """The processes by name, VP with the betas of DDPM so that peers can be compared."""
    params = {"vp": {"schedule": "discrete", "t_min": 1e-3}}
    return {name: SDES[name](**params.get(name, {}), image_shape=(8, 8)) for name in ("vp", "ve", "cld", "blur")}


def run(sampler, eps_fn, step, key, u):
    """Final states; tables of coefficients go row by row through the compiled `step`, others through jit."""
    if not isinstance(sampler, Recursion):
        return jax.jit(lambda u: sampler(eps_fn, key, u).u)(u)
    rows = jax.tree.map(jnp.asarray, sampler.rows)
    past = jnp.zeros((rows.eps.shape[1] - 1, *u.shape), u.dtype)
    keys = None if rows.noise is None else example_keys(key, len(u))
    for i in range(len(rows.times)):
        u, past, _ = step(u, past, jax.tree.map(lambda a, i=i: a[i], rows), keys, i)
    return u


def sliced_wasserstein(x, y, directions=128):
    """Root mean square over directions and quantiles of the difference of projections of x, y (n, d)."""
    theta = np.random.default_rng(0).normal(size=(x.shape[1], directions))
    theta /= np.linalg.norm(theta, axis=0)
    return float(np.sqrt(((np.sort(x @ theta, 0) - np.sort(y @ theta, 0)) ** 2).mean()))


def exact_samples(n):
    """n draws of the data, (n, 64)."""
    means, variances = mixture()
    rng = np.random.default_rng(1)
    which = rng.integers(len(means), size=n)
    return means.reshape(len(means), -1)[which] + np.sqrt(variances[which])[:, None] * rng.normal(size=(n, 64))


class Bench:
    """One process: its exact eps, one start for all samplers, the fine trajectory from it and exact samples."""

    def __init__(self, name, sde, batch):
        self.name, self.sde = name, sde
        self.eps_fn = exact.mixture_eps(sde, *mixture())
        self.u_T = sde.prior(jax.random.key(0), (batch, 8, 8, 1)).astype(jnp.float64)
        self.step = jax.jit(lambda u, past, row, keys, i: advance(self.eps_fn, u, past, row, keys, i))
        self.fine = self.flat(self.samples("gddim", FINE_STEPS, {"deis_order": 3}))
        self.exact = exact_samples(batch)

    def sampler(self, method, nfe, keys):
        config = {"method": method, "nfe": nfe, "noise_removal": False, **keys}
        return samplers.get_sampler(ConfigDict({"sampling": config}), self.sde)

    def samples(self, method, nfe, keys):
        return run(self.sampler(method, nfe, keys), self.eps_fn, self.step, jax.random.key(1), self.u_T)

    def flat(self, u):
        return np.asarray(self.sde.project(u)).reshape(len(u), -1)

    def errors(self, x, stochastic):
        rms = None if stochastic else float(np.sqrt(((x - self.fine) ** 2).mean()))
        if not np.isfinite(x).all():  # a peer that broke down
            return {"rms": None, "sw": None}
        return {"rms": rms, "sw": sliced_wasserstein(x, self.exact)}

    def entries(self):
        """(label, method, keys) of all samplers that suit the process."""
        everything = {m: (m, {}) for m in samplers.SAMPLERS if m not in SKIP} | ENTRIES
        for label, (method, keys) in everything.items():
            if samplers.SAMPLERS[method].processes.accept(self.sde):
                yield label, method, keys

    def results(self, budgets):
        """Rows {process, sampler, nfe, rms, sw}."""
        for label, method, keys in self.entries():
            for budget in budgets:
                try:
                    sampler = self.sampler(method, budget, keys)
                except ValueError:  # a budget below one step
                    continue
                x = self.flat(run(sampler, self.eps_fn, self.step, jax.random.key(1), self.u_T))
                row = {"process": self.name, "sampler": label, "nfe": int(sampler.nfe)}
                yield row | self.errors(x, sampler.stochastic)


def peer_results(bench, budgets, python):
    """Rows of diffusers' schedulers on VP; none, with a word on the screen, where it is not installed."""
    script = Path(__file__).with_name("diffusers_peer.py")
    means, variances = mixture()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, x_T=bench.flat(bench.u_T), means=means.reshape(32, -1), variances=variances, budgets=budgets)
        done = subprocess.run([python, script, given, made], capture_output=True, text=True)
        if done.returncode:
            print(f"no peers: {python} could not run diffusers ({(done.stderr.strip() or '?').splitlines()[-1]})")
            return
        with np.load(made) as arrays:
            for name, x in arrays.items():
                label, nfe = name.rsplit("/", 1)
                yield {"process": "vp", "sampler": label, "nfe": int(nfe)} | bench.errors(x, False)


def print_table(rows, quantity):
    """One line a sampler and process, one column a budget."""
    budgets = sorted({row["nfe"] for row in rows if row[quantity] is not None})
    names = list(dict.fromkeys((row["process"], row["sampler"]) for row in rows if row[quantity] is not None))
    cells = {(row["process"], row["sampler"], row["nfe"]): row[quantity] for row in rows}
    print(f"\n{quantity:<34}" + "".join(f"{n:>10}" for n in budgets))
    for name in names:
        values = [cells.get((*name, n)) for n in budgets]
        print(f"{' '.join(name):<34}" + "".join(f"{'' if v is None else format(v, '.2e'):>10}" for v in values))


def save_picture(rows, path):
    """RMS against NFE, one panel a process."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["process"] for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 4.5), sharey=True)
    for ax, name in zip(np.atleast_1d(axes), names, strict=True):
        mine = [row for row in rows if row["process"] == name and row["rms"] is not None]
        for i, label in enumerate(dict.fromkeys(row["sampler"] for row in mine)):
            points = [(row["nfe"], row["rms"]) for row in mine if row["sampler"] == label]
            style = "--" if label.startswith("diffusers") else "-"
            ax.loglog(*zip(*points, strict=True), style, color=plt.cm.tab20(i % 20), marker="o", ms=3, label=label)
        ax.set(title=name, xlabel="network evaluations")
        ax.set_ylim(5e-6, 3)
        ax.legend(fontsize=5, loc="lower left")
    np.atleast_1d(axes)[0].set_ylabel("RMS distance to the fine trajectory")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="docs/results", help="folder of work_precision.json and .png")
    parser.add_argument("--nfe", type=int, nargs="+", default=[5, 10, 20, 50, 100])
    parser.add_argument("--batch", type=int, default=256, help="starts, and exact samples for sw")
    parser.add_argument("--peer_python", default=sys.executable, help="a Python with diffusers and torch")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = []
    for name, sde in processes().items():
        bench = Bench(name, sde, args.batch)
        rows += bench.results(args.nfe)
        if name == "vp":
            rows += peer_results(bench, args.nfe, args.peer_python)
    for quantity in ("rms", "sw"):
        print_table(rows, quantity)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    Path(args.out, "work_precision.json").write_text(json.dumps(rows, indent=1))
    save_picture(rows, Path(args.out, "work_precision.png"))


if __name__ == "__main__":
    main()
