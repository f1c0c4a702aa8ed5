"""How predictor-corrector sampling ends: at no noise, on the grid and the tables of score_sde."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers.predictor_corrector import PREDICTORS, PredictorCorrector
from sde_lib import SDES, VE, VP, blocks

SHAPE = (16, 4, 4, 1)
PROCESSES = {name: SDES[name](image_shape=SHAPE[1:3]) for name in ("vp", "subvp", "ve", "blur")} | {
    "vp-discrete": VP(schedule="discrete"),
    "vp-coarse": VP(schedule="discrete_cosine", num_steps=50),
}
ENDINGS = [(predictor, False) for predictor in PREDICTORS]
ENDINGS += [("reverse_diffusion", True), ("euler_maruyama", True)]


@pytest.mark.parametrize(("predictor", "flow"), ENDINGS)
@pytest.mark.parametrize("name", PROCESSES)
def test_data_on_one_point_come_out_without_noise(name, predictor, flow):
    """The tables of score_sde leave an rms of 1.7e-6 on VE and 1.3e-3 on VP of it; here both are rounding."""
    sde = PROCESSES[name]
    x = jax.random.uniform(jax.random.key(0), SHAPE[1:], minval=-1.0)
    u_0 = sde.lift(jnp.broadcast_to(x, SHAPE))

    def eps_fn(u, t):
        return blocks.apply(blocks.inverse(sde.R(t)), u - sde.mean(u_0, t))

    sampler = PredictorCorrector(sde, nfe=41, predictor=predictor, corrector="ald", probability_flow=flow)
    u = jax.jit(lambda key, u: sampler(eps_fn, key, u).u)(jax.random.key(1), sde.prior(jax.random.key(2), SHAPE))
    rms = jnp.sqrt(((sde.project(u) - x) ** 2).mean())
    assert rms < 1.7e-6
    assert sampler.nfe == (41 if predictor == "none" else 40)


def test_evaluations_and_steps_are_those_of_score_sde():
    """Times linspace(1, eps, N); of SMLD the levels geomspace(50, 0.01, N) and then 0.

    The published levels lie at equal times down to 0, not to eps = 1e-5: the two differ by 1e-5 log(5000) = 8.5e-5.
    """
    N = 1000
    sampler = PredictorCorrector(VE(), nfe=2 * N)
    np.testing.assert_allclose(sampler.correction["t"], np.linspace(1, 1e-5, N), rtol=1e-12)
    np.testing.assert_allclose(sampler.rows.times, np.linspace(1, 1e-5, N), rtol=1e-12)
    sigma = np.append(np.geomspace(50, 0.01, N), 0)
    gain = -sampler.rows.eps.ravel() * np.geomspace(50, 0.01, N)  # of -score
    np.testing.assert_allclose(gain, sigma[:-1] ** 2 - sigma[1:] ** 2, rtol=3e-4)
    assert sampler.rows.noise[-1] == 0 and (sampler.rows.noise[:-1] > 0).all()


@pytest.mark.parametrize("predictor", ["none", "reverse_diffusion"])
@pytest.mark.parametrize("noise_removal", [True, False])
def test_the_corrector_visits_t_min_but_where_the_last_prediction_ends_there(predictor, noise_removal):
    sampler = PredictorCorrector(VE(), nfe=9, predictor=predictor, noise_removal=noise_removal)
    assert (sampler.correction["t"][-1] == 1e-5) == (noise_removal or predictor == "none")
    # The ratio of the scales of neighbouring times is that of the process: 1 for VE.
    assert (sampler.correction["a"] == 1).all()
