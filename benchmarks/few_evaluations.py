"""What every sampler gives with few evaluations on every process, with exact networks.

    python -m benchmarks.few_evaluations --out docs/results         writes few_evaluations.md in that folder

Images have 8 x 8 pixels, samplers their defaults (with the denoising step). Two kinds of data:

    Gaussian    N(0, 0.2^2) in every pixel; shown is the standard deviation of the samples. Samplers that are tables are
                linear in the state there, and their covariance is carried through the rows without a draw
    mixture     that of benchmarks.work_precision; shown is the root mean square of what the samples have around the
                nearest of its means, 0.1 for true samples

ode has tolerances in place of a budget, and fixed_point needs another kind of network: both are left out.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks.work_precision import SKIP, exact_samples, mixture, mixture_eps, nearest, run
from linnet import samplers
from linnet.samplers.exponential import Recursion, advance
from linnet.sde_lib import SDES, blocks
from linnet.sde_lib.exact import data_covariance, gaussian_eps

STD = 0.2
BUDGETS = (5, 10, 20, 35, 50)
SHAPE = (8, 8, 1)
HEAD = f"""# Few evaluations

Made by `python -m benchmarks.few_evaluations`: every sampler with its defaults on every process, with exact networks.
Columns are network evaluations: first the standard deviation of samples of Gaussian data (true: {STD}), then, in
italics, the root mean square of samples of a mixture around the nearest of its means (true: 0.1). A dash is a budget
that is refused.
"""


def pairs(processes):
    """(name of a sampler, name of a process) of all that suit each other."""
    for name, sde in processes.items():
        for method, sampler in samplers.SAMPLERS.items():
            if method not in SKIP and sampler.processes.accept(sde):
                yield method, name


def sampler_of(method, sde, nfe):
    """The sampler with its defaults, as main builds it."""
    return samplers.get_sampler(ConfigDict({"sampling": {"method": method, "nfe": nfe}}), sde)


def gaussian_std(sampler, sde, draws=256):
    """Standard deviation of the samples of Gaussian data: exact for tables, else from `draws` images."""
    if isinstance(sampler, Recursion):
        return np.sqrt(carried_covariance(sampler.rows, sde)[..., 0, 0].mean())
    eps_fn = gaussian_eps(sde, jnp.zeros(SHAPE), STD**2)
    u_T = sde.prior(jax.random.key(0), (draws, *SHAPE))
    u = jax.jit(lambda u: sampler(eps_fn, jax.random.key(1), u).u)(u_T)
    return float(sde.project(u).std())


def carried_covariance(rows, sde):
    """Covariance of the states after `rows` from the prior, spatial + (k, k), for Gaussian data.

    eps = R^T P^-1 u is linear, P the covariance of u_t, so (u, y_{i-1}, ..., y_{i-q}) goes through a matrix each row.
    """
    k, q = sde.k, rows.eps.shape[1] - 1
    Psi, R = sde.Psi(rows.times, 0.0), sde.R(rows.times)
    P = blocks.matmul(blocks.matmul(Psi, data_covariance(sde, STD**2)), blocks.transpose(Psi)) + sde.Sigma(rows.times)
    y = blocks.matmul(blocks.transpose(R), blocks.inverse(P))
    if rows.from_eps is not None:
        y = rows.from_eps[0] + blocks.matmul(rows.from_eps[1], y)
    spatial, n = y.shape[1:-2], k * (1 + q)
    covariance = np.zeros((*spatial, n, n))
    covariance[..., :k, :k] = np.diag(sde.prior_std() ** 2)
    shift = np.eye(n, k=-k) * (np.arange(n)[:, None] >= 2 * k)
    for i in range(len(rows.times)):
        step = np.tile(shift, (*spatial, 1, 1))
        step[..., :k, :k] = rows.psi[i] + blocks.matmul(rows.eps[i, 0], y[i])
        for j in range(1, q + 1):
            step[..., :k, j * k : (j + 1) * k] = rows.eps[i, j]
        if q:
            step[..., k : 2 * k, :k] = y[i]
        covariance = step @ covariance @ step.swapaxes(-1, -2)
        if rows.noise is not None:
            covariance[..., :k, :k] += blocks.matmul(rows.noise[i], blocks.transpose(rows.noise[i]))
    return covariance[..., :k, :k]


class Mixture:
    """One process with the exact network of the mixture."""

    def __init__(self, sde, batch):
        self.sde, self.data = sde, mixture()
        self.eps_fn = mixture_eps(sde, *self.data)
        self.u_T = sde.prior(jax.random.key(0), (batch, *SHAPE))
        self.step = jax.jit(lambda u, past, row, keys, i: advance(self.eps_fn, u, past, row, keys, i))

    def spread(self, sampler):
        """Root mean square of samples around the nearest mean."""
        u = run(sampler, self.eps_fn, self.step, jax.random.key(1), self.u_T)
        return spread(np.asarray(self.sde.project(u), np.float64).reshape(len(u), -1), self.data[0])


def spread(x, means):
    """Root mean square of x (n, 64) around the nearest of the means (M, 8, 8, 1)."""
    return float(np.sqrt(((x - means.reshape(len(means), -1)[nearest(x, means)]) ** 2).mean()))


def cells(method, sde, data):
    """The figures of one sampler on one process: those of the Gaussian, then those of the mixture."""
    gaussian, around = [], []
    for nfe in BUDGETS:
        try:
            sampler = sampler_of(method, sde, nfe)
        except ValueError:  # a budget below one step
            gaussian.append("-")
            around.append("-")
            continue
        gaussian.append(f"{gaussian_std(sampler, sde):.3g}")
        around.append(f"*{data.spread(sampler):.3g}*")
    return gaussian + around


def tables(processes, batch):
    """Lines of markdown, a table for each process."""
    for name, sde in processes.items():
        data = Mixture(sde, batch)
        yield f"\n## {name}\n"
        yield "| sampler |" + "".join(f" {n} |" for n in BUDGETS) + "".join(f" *{n}* |" for n in BUDGETS)
        yield "|---|" + "---|" * (2 * len(BUDGETS))
        for method, _ in pairs({name: sde}):
            yield f"| {method} | " + " | ".join(cells(method, sde, data)) + " |"


def main() -> None:
    """Writes few_evaluations.md into --out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="docs/results", help="folder of few_evaluations.md")
    parser.add_argument("--batch", type=int, default=512, help="samples of the mixture")
    args = parser.parse_args()
    processes = {name: SDES[name](image_shape=SHAPE[:2]) for name in SDES}
    means, variance = mixture()
    true = spread(exact_samples(means, variance, args.batch), means)
    lines = [HEAD, f"Exact samples of the mixture, as many as were drawn: {true:.3g}."]
    for line in tables(processes, args.batch):
        print(line, flush=True)
        lines.append(line)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    Path(args.out, "few_evaluations.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
