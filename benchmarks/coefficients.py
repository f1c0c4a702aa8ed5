"""Set-up time and accuracy of the coefficients of exponential integrators, against references of 50 digits.

    python -m benchmarks.coefficients                    needs mpmath for the accuracy; prints a table and JSON

Time: from a configured process to the table of 50 steps of order 3, best of 5 in this process after import. Accuracy:
the largest error of a coefficient in three steps of a table of 10, relative to the largest coefficient of the table;
for blur over the lowest, a middle and the highest frequency. The reference integrates Psi(t, r) R(r) l_j'(r) with
mpmath at 50 digits, for CLD with the angle of R by quadrature too.
"""

import argparse
import functools
import itertools
import json
import time

import numpy as np

from linnet.samplers import coefficients, grids
from linnet.sde_lib import SDES

GOAL_ERROR, GOAL_MS = 1e-11, 50.0


def set_up_ms(name, steps=50, order=3):
    """Milliseconds for process and table."""
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        sde = SDES[name](image_shape=(8, 8))
        coefficients.multistep(sde, grids.power(sde, steps, 2), order)
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


def scalar_process(mp, name):
    """(Psi(t, s), R(t)) of VP (linear) and VE with their defaults, in mpmath."""
    if name == "ve":
        return lambda t, s: mp.mpf(1), lambda t: mp.mpf("0.01") * mp.mpf(5000) ** t

    def B(t):
        return mp.mpf("0.1") * t + mp.mpf("19.9") * t**2 / 2

    def root(t):
        return mp.sqrt(-mp.expm1(-B(t)))

    if name == "subvp":
        return lambda t, s: mp.exp((B(s) - B(t)) / 2), lambda t: -mp.expm1(-B(t))
    return lambda t, s: mp.exp((B(s) - B(t)) / 2), root


def blur_process(mp, frequency, size=8):
    """(Psi(t, s), R(t)) of blur with its defaults at frequency (i, j) of size x size images, in mpmath."""

    def a(t):
        return mp.pi / 2 * (t + mp.mpf("0.004")) / mp.mpf("1.008")

    eigenvalue = sum((mp.pi * i / size) ** 2 for i in frequency)

    def tau(t):
        return 50 * mp.sin(mp.pi * t / 2) ** 4

    def scale(t):
        return mp.cos(a(t)) * (mp.mpf("0.999") * mp.exp(-eigenvalue * tau(t)) + mp.mpf("0.001"))

    return lambda t, s: scale(t) / scale(s), lambda t: mp.sin(a(t))


def cld_process(mp):
    """(Psi(t, s), R(t)) of CLD with its defaults, as mpmath matrices; R from its angle by quadrature."""
    beta = mp.mpf(4)
    w = mp.mpf(2)
    eps = mp.mpf("1e-6")
    gamma = mp.mpf("0.04")

    def Psi(t, s):
        z = w * beta * (t - s)
        return mp.exp(-z) * mp.matrix([[1 + z, z * w], [-z / w, 1 - z]])

    def Sigma(t):
        limit = mp.diag([1, 1 / w**2])
        return Psi(t, 0) * (mp.diag([eps, gamma / w**2 + eps]) - limit) * Psi(t, 0).T + limit

    def rate(t):
        S = Sigma(t)
        return -beta * w**2 * mp.sqrt(S[0, 0] * S[1, 1] - S[0, 1] ** 2) / S[0, 0]

    angles = {mp.mpf(0): mp.mpf(0)}  # theta at the times asked for: the next one goes on from the last before it

    def R(t):
        known = max(s for s in angles if s <= t)
        edges = [known, *[mp.mpf(10) ** -k for k in range(8, 0, -1) if known < mp.mpf(10) ** -k < t], t]
        angles[t] = angles[known] + sum(gauss_legendre(mp, rate, a, b) for a, b in itertools.pairwise(edges))
        cos, sin = mp.cos(angles[t]), mp.sin(angles[t])
        return mp.cholesky(Sigma(t)) * mp.matrix([[cos, -sin], [sin, cos]])

    return Psi, R


def reference(mp, Psi, R, times, i, order):
    """Coefficients of step i, newest first: R(t) l_j(t) - Psi(t, s) R(s) l_j(s) - int Psi(t, r) R(r) l_j'(r) dr."""
    s, t = times[i], times[i + 1]
    nodes = [times[i - j] for j in range(order + 1)]
    others = [[x for x in nodes if x != node] for node in nodes]
    scales = [mp.fprod(node - x for x in rest) for node, rest in zip(nodes, others, strict=True)]
    moving = functools.cache(lambda r: Psi(t, r) * R(r))

    def weight(rest, scale):
        def basis(r):
            return mp.fprod(r - x for x in rest) / scale

        def slope(r):
            return sum(mp.fprod(r - x for x in rest if x != y) for y in rest) / scale

        ends = moving(t) * basis(t) - moving(s) * basis(s)
        return ends - gauss_legendre(mp, lambda r: moving(r) * slope(r), s, t)

    return [weight(*pair) for pair in zip(others, scales, strict=True)]


@functools.cache
def nodes_and_weights(mp, degree):
    """Gauss-Legendre on [-1, 1] by Newton's method from the double-precision nodes."""
    nodes, slopes = [mp.mpf(float(x)) for x in np.polynomial.legendre.leggauss(degree)[0]], []

    def derivative(x):
        return degree * (x * mp.legendre(degree, x) - mp.legendre(degree - 1, x)) / (x**2 - 1)

    for _ in range(3):
        nodes = [x - mp.legendre(degree, x) / derivative(x) for x in nodes]
    slopes = [derivative(x) for x in nodes]
    return [(x, 2 / ((1 - x**2) * d**2)) for x, d in zip(nodes, slopes, strict=True)]


def gauss_legendre(mp, f, s, t, degree=30):
    """int_s^t f for matrices or numbers, on three panels that are equal in r^(1/4)."""
    total = 0 * f(s)
    edges = [(mp.root(s, 4) + (mp.root(t, 4) - mp.root(s, 4)) * p / 3) ** 4 for p in range(4)]
    for a, b in itertools.pairwise(edges):
        for x, w in nodes_and_weights(mp, degree):
            total += f(a + (b - a) * (1 + x) / 2) * ((b - a) / 2 * w)
    return total


def exact_processes(mp, name):
    """frequency -> (Psi, R) in mpmath of the process `name`; {} for one that is not written in mpmath here."""
    if name == "blur":
        return {f: blur_process(mp, f) for f in ((0, 0), (2, 3), (7, 7))}
    if name in ("vp", "subvp", "ve"):
        return {(0, 0): scalar_process(mp, name)}
    return {(0, 0): cld_process(mp)} if name == "cld" else {}


def error(mp, name, order=3, steps=10):
    """Largest error in three steps of a table of 10, relative to the largest coefficient; None without a reference."""
    exact = exact_processes(mp, name)
    if not exact:
        return None
    sde = SDES[name](image_shape=(8, 8))
    times = grids.power(sde, steps, 2)
    table = coefficients.multistep(sde, times, order).eps
    worst, exact_times = 0.0, [mp.mpf(float(t)) for t in times]
    for frequency, (Psi, R) in exact.items():
        for i in (order, steps // 2 + 1, steps - 1):
            for j, weight in enumerate(reference(mp, Psi, R, exact_times, i, order)):
                wanted = np.array(weight.tolist() if sde.k > 1 else [[weight]], object)
                ours = table[(i, j, *frequency)]
                gap = max(abs(mp.mpf(float(a)) - b) for a, b in zip(ours.ravel(), wanted.ravel(), strict=True))
                worst = max(worst, float(gap))
    return worst / np.abs(table).max()


def cell(error):
    """An error as the table shows it."""
    return "-" if error is None else f"{error:.1e}"


def main() -> None:
    """Prints set-up times and errors of every process; errors need mpmath."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="file to write as well")
    args = parser.parse_args()
    try:
        import mpmath as mp

        mp.mp.dps = 50
    except ImportError:
        mp = None
        print("mpmath is not installed: no accuracy (pip install '.[bench]')")
    rows = []
    print(f"{'process':<10}{'set-up, ms':>12}{'error':>12}   goals: {GOAL_MS:g} ms, {GOAL_ERROR:g}")
    for name in SDES:
        rows.append({"process": name, "ms": set_up_ms(name), "error": mp and error(mp, name)})
        print(f"{name:<10}{rows[-1]['ms']:>12.1f}{cell(rows[-1]['error']):>12}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
