"""Error against network evaluations, for every sampler and process, on data whose eps is known exactly.

    python -m benchmarks.work_precision --out docs/results            table on the screen, JSON and PNG in that folder

The data are a mixture of 32 Gaussians of standard deviation 0.1 around scikit-learn's first digits (or, with --seed,
digits drawn at random): 8 x 8 pixels, 64 dimensions. The errors of what a sampler gives at t_min, without denoising
step, in float64, are distances to where a fine integration (gddim of order 3, 2,000 steps) takes the same start
(deterministic samplers only), and to exact samples:

    rms      root mean square over starts and pixels
    median   median over starts of the root mean square over pixels
    moved    share of starts that end nearest to another component than the fine trajectory: each of them adds the
             distance of two digits, and together they are most of the rms (docs/results/work_precision.md)
    sw       sliced Wasserstein distance to exact samples of the data, 128 directions

Euler, on the probability flow, runs on the grid that the process has for all samplers and on equal steps. If the Python
at --peer_python has diffusers and torch, its DEIS, DPM-Solver++ and UniPC schedulers run on VP in the same run: same
eps, start, schedule (DDPM's 1,000 betas) and end (their sigma_min), with both of their spacings.
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

from benchmarks.shown import print_table, save_picture, summary
from linnet import samplers
from linnet.samplers.exponential import Recursion, advance
from linnet.sde_lib import SDES, blocks
from linnet.sde_lib.base import example_keys
from linnet.sde_lib.exact import data_covariance

FINE_STEPS = 2000
QUANTITIES = ("rms", "median", "moved", "sw")
ENTRIES = {  # label -> (method, keys); the others of SAMPLERS run with their defaults
    "euler": ("em", {"lambda_coef": 0.0}),
    "euler uniform": ("em", {"lambda_coef": 0.0, "grid": "uniform"}),
    "gddim order 1": ("gddim", {"deis_order": 1}),
    "gddim order 3": ("gddim", {"deis_order": 3}),
    "sdeis order 1": ("sdeis", {"deis_order": 1}),
    "rho_rk 4rk": ("rho_rk", {"rk_method": "4rk"}),
    "heun churn": ("heun", {"s_churn": 5.0}),
}
SKIP = ("deis", "mldeis", "ode", "fixed_point")  # aliases; a budget that is a tolerance; another kind of network


def mixture(seed=None):
    """Means (32, 8, 8, 1) in [-1, 1] and the variance of every component; seed draws the digits, None is the first."""
    from sklearn.datasets import load_digits

    digits = load_digits().images
    chosen = np.arange(32) if seed is None else np.random.default_rng(seed).choice(len(digits), 32, replace=False)
    return digits[chosen][..., None] / 8 - 1, 0.01


def mixture_eps(sde, means, variance):
    """eps_fn(u, t) of an equal mixture with one variance, all rows of u at the time t[0]: two matrix products.

    The same function as sde_lib.exact.mixture_eps, which takes a variance for each component and is 100 times slower.
    """
    lifted = sde.lift(jnp.asarray(means))

    def eps_fn(u, t):
        """eps, the shape and dtype of the states u (B, ...); t (B,), all alike."""
        t = t[0]
        Psi, R = sde.Psi(t, t * 0), sde.R(t)
        C = jnp.asarray(data_covariance(sde, variance), u.dtype)
        inverse = blocks.inverse(blocks.matmul(blocks.matmul(Psi, C), blocks.transpose(Psi)) + sde.Sigma(t))
        centres = blocks.apply(Psi, lifted.astype(u.dtype))
        pull, pulls = blocks.apply(inverse, u), blocks.apply(inverse, centres).reshape(len(means), -1)
        logits = u.reshape(len(u), -1) @ pulls.T - 0.5 * (centres.reshape(pulls.shape) * pulls).sum(1)
        mean_pull = (jax.nn.softmax(logits) @ pulls).reshape(u.shape)
        return blocks.apply(blocks.transpose(R), pull - mean_pull)

    return eps_fn


def processes():
    """The processes by name, VP with the betas of DDPM so that peers can be compared."""
    params = {"vp": {"schedule": "discrete", "t_min": 1e-3}}
    return {name: SDES[name](**params.get(name, {}), image_shape=(8, 8)) for name in ("vp", "ve", "cld", "blur")}


def run(sampler, eps_fn, step, key, u):
    """Final states; tables of coefficients go row by row through the compiled `step`, others through jit."""
    if not isinstance(sampler, Recursion):
        return jax.jit(lambda u: sampler(eps_fn, key, u).u)(u)
    rows = sampler.rows
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


def exact_samples(means, variance, n):
    """n draws of the data, (n, 64)."""
    rng = np.random.default_rng(1)
    which = rng.integers(len(means), size=n)
    return means.reshape(len(means), -1)[which] + np.sqrt(variance) * rng.normal(size=(n, 64))


def nearest(x, means):
    """Index of the component nearest to each row of x (n, 64)."""
    means = means.reshape(len(means), -1)
    return (0.5 * (means**2).sum(1) - x @ means.T).argmin(1)


class Bench:
    """One process: its exact eps, one start for all samplers, the fine trajectory from it and exact samples."""

    def __init__(self, name, sde, data, batch, fine_steps=FINE_STEPS):
        self.name = name
        self.sde = sde
        self.data = data
        self.eps_fn = mixture_eps(sde, *data)
        self.u_T = sde.prior(jax.random.key(0), (batch, 8, 8, 1)).astype(jnp.float64)
        self.step = jax.jit(lambda u, past, row, keys, i: advance(self.eps_fn, u, past, row, keys, i))
        self.fine = self.flat(self.samples("gddim", fine_steps, {"deis_order": 3}))
        self.exact = exact_samples(*data, batch)

    def sampler(self, method, nfe, keys):
        """The sampler with these keys of config.sampling, without noise removal."""
        config = {"method": method, "nfe": nfe, "noise_removal": False, **keys}
        return samplers.get_sampler(ConfigDict({"sampling": config}), self.sde)

    def samples(self, method, nfe, keys):
        """The states in which it leaves the starts, (batch, 8, 8, k) float64."""
        return run(self.sampler(method, nfe, keys), self.eps_fn, self.step, jax.random.key(1), self.u_T)

    def flat(self, u):
        """The images of states, (batch, 64) on the host."""
        return np.asarray(self.sde.project(u)).reshape(len(u), -1)

    def errors(self, x, stochastic):
        """{quantity: value or None} of ends x (batch, 64); distances to the fine ends only where no noise is drawn."""
        if not np.isfinite(x).all():  # a peer that broke down
            return dict.fromkeys(QUANTITIES)
        distance = {"sw": sliced_wasserstein(x, self.exact)}
        if stochastic:
            return dict.fromkeys(QUANTITIES) | distance
        each = np.sqrt(((x - self.fine) ** 2).mean(1))
        means = self.data[0]
        moved = float((nearest(x, means) != nearest(self.fine, means)).mean())
        rms, median = float(np.sqrt((each**2).mean())), float(np.median(each))
        return {"rms": rms, "median": median, "moved": moved} | distance

    def entries(self):
        """(label, method, keys) of all samplers that suit the process."""
        everything = {m: (m, {}) for m in samplers.SAMPLERS if m not in SKIP} | ENTRIES
        for label, (method, keys) in everything.items():
            if samplers.SAMPLERS[method].processes.accept(self.sde):
                yield label, method, keys

    def results(self, budgets):
        """Rows {process, sampler, nfe} with the errors."""
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
    means, variance = bench.data
    variances = np.full(len(means), variance)
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            given, x_T=bench.flat(bench.u_T), means=means.reshape(len(means), -1), variances=variances, budgets=budgets
        )
        done = subprocess.run([python, script, given, made], capture_output=True, text=True)
        if done.returncode:
            print(f"no peers: {python} could not run diffusers ({(done.stderr.strip() or '?').splitlines()[-1]})")
            return
        with np.load(made) as arrays:
            for name, x in arrays.items():
                label, nfe = name.rsplit("/", 1)
                yield {"process": "vp", "sampler": label, "nfe": int(nfe)} | bench.errors(x, False)


def main() -> None:
    """Prints the tables; writes work_precision.json and .png into --out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="docs/results", help="folder of work_precision.json and .png")
    parser.add_argument("--nfe", type=int, nargs="+", default=[5, 10, 20, 50, 100])
    parser.add_argument("--batch", type=int, default=2048, help="starts, and exact samples for sw")
    parser.add_argument("--seed", type=int, help="draws the digits of the mixture; without it the first 32")
    parser.add_argument("--peer_python", default=sys.executable, help="a Python with diffusers and torch")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = []
    for name, sde in processes().items():
        bench = Bench(name, sde, mixture(args.seed), args.batch)
        rows += bench.results(args.nfe)
        if name == "vp":
            rows += peer_results(bench, args.nfe, args.peer_python)
    for quantity in QUANTITIES:
        print_table(rows, quantity)
    print("\n".join(summary(rows)))
    Path(args.out).mkdir(parents=True, exist_ok=True)
    Path(args.out, "work_precision.json").write_text(json.dumps(rows, indent=1))
    save_picture(rows, Path(args.out, "work_precision.png"))


if __name__ == "__main__":
    main()
