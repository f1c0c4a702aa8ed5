"""The law of stochastic one-step samplers on Gaussian data, whose variance is carried through their rows exactly.

eps(u, t) = R u / S with S = Psi^2 V + Sigma is linear, so a row takes the variance P to (psi + c R / S)^2 P + n^2.
"""

import numpy as np
import pytest

from samplers import stochastic
from samplers.euler_maruyama import euler_maruyama
from samplers.predictor_corrector import reverse_diffusion
from sde_lib import VE, VP, SubVP

V = 0.3
METHODS = {
    "euler_maruyama": lambda sde, times: euler_maruyama(sde, times, 1.0),
    "reverse_diffusion": lambda sde, times: reverse_diffusion(sde, times, False),
}


def variance(sde, t):
    return sde.Psi(t, 0.0).ravel() ** 2 * V + sde.Sigma(t).ravel()


def error(sde, method, steps):
    """Of the variance at t = 0.2, relative, from the exact one at t = 0.8."""
    times = np.linspace(0.8, 0.2, steps + 1)
    rows = METHODS[method](sde, times)
    P, gain = variance(sde, times[:1]), sde.R(times[:-1]).ravel() / variance(sde, times[:-1])
    for psi, c, n, g in zip(rows.psi.ravel(), rows.eps.ravel(), rows.noise.ravel(), gain, strict=True):
        P = (psi + c * g) ** 2 * P + n**2
    return abs(P / variance(sde, times[-1:]) - 1).item()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sde", [VP(), SubVP(), VE()], ids=["vp", "subvp", "ve"])
def test_the_variance_converges_to_first_order(sde, method):
    steps = np.array([2000, 4000, 8000, 16000])
    slope = np.polyfit(np.log(steps), np.log([error(sde, method, n) for n in steps]), 1)[0]
    assert abs(slope + 1) < 0.15


@pytest.mark.parametrize("sde", [VP(), SubVP(), VE()], ids=["vp", "subvp", "ve"])
def test_the_transition_is_exact(sde):
    """The variance of the forward process obeys its own transition: what the noise of both rows is made of."""
    t, s = np.array([0.8]), np.array([0.3])
    Psi, Q = (a.ravel() for a in stochastic.transition(sde, t, s))
    np.testing.assert_allclose(Psi**2 * variance(sde, s) + Q, variance(sde, t), rtol=1e-10)
