"""Replacement: the measured part of a state has its law given y, and the rest is left alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers import SAMPLERS
from samplers.measurements import Mask, impose, project
from samplers.replacement import Known, Replacing, ReplacingPC
from sde_lib import SDES
from sde_lib.exact import gaussian_eps
from tests.conftest import FAST_RUNNING
from tests.samplers.gaussian_images import GaussianImages, as_matrix, dense
from tests.samplers.test_posterior import MEASUREMENTS, PAIRS

VARIANCE = 0.3


@pytest.mark.parametrize(("name", "process"), PAIRS)
def test_the_measured_part_is_drawn_from_its_law_given_y(name, process, x64):
    """Of all components. The map is affine in z: mean and covariance are those of its columns. Under blur the law also
    depends on the rest of the image; it is checked for images that the network knows for certain."""
    A, shape = MEASUREMENTS[name]
    data = GaussianImages.white(shape, 1e-10 if process == "blur" else VARIANCE)
    sde = SDES[process](image_shape=shape[:2])
    x = jnp.asarray(data.draw(1))
    given = data.given(A, A(x))
    known = Known(data.eps_fn(sde), sde, A, A(x))
    t, s = 0.5 * sde.T, 0.7 * sde.T
    state = (*shape[:-1], sde.k * shape[-1])
    size = int(np.prod(state))
    z = jnp.concatenate([jnp.zeros((1, size)), jnp.eye(size)]).reshape(-1, *state)
    before = sde.mean(sde.lift(x), jnp.full(1, s)).repeat(len(z), 0)
    u = jax.random.normal(jax.random.key(0), (1, *state)).repeat(len(z), 0)

    @jax.jit
    def replaced(u, before, z):
        return known.replace(u, (before, known(before, jnp.full(len(z), s)), jnp.asarray(s)), jnp.asarray(t), z)

    found = replaced(u, before, z)
    P = np.asarray(dense(known.measured, state))
    rows = np.asarray(found).reshape(len(z), -1)
    rest = np.eye(size) - P
    np.testing.assert_allclose(rows @ rest, np.asarray(u).reshape(len(z), -1) @ rest, atol=1e-9)
    one = jnp.full(1, t)
    carried = np.asarray(as_matrix(sde.Psi(one, one * 0), state) @ dense(sde.lift, shape))
    mean, columns = rows[0] @ P, (rows[1:] - rows[0]) @ P
    covariance = carried @ given.C @ carried.T + np.asarray(as_matrix(sde.Sigma(one), state))
    np.testing.assert_allclose(mean, P @ carried @ given.mean, atol=1e-4)
    np.testing.assert_allclose(columns.T @ columns, P @ covariance @ P, atol=1e-4)


def samplers_of(sde):
    yield Replacing(SAMPLERS["sdeis"](sde, nfe=240, deis_order=0, lambda_coef=1.0), resamples=2)
    if SAMPLERS["pc"].processes.accept(sde):
        yield ReplacingPC(sde, nfe=1600, corrector="ald", snr=0.05, grid="power", ts_order=3)


@pytest.mark.parametrize("process", ["vp", "cld", "hold"])
def test_unseen_pixels_have_the_law_of_the_data(process):
    """Pixels are independent here. Of 4 x 1000 numbers, means are within four standard errors and variances as well
    (rms of a variance: sqrt(2 / n)), beside 5 % for the steps."""
    n, mean = 1000, 0.4
    sde = SDES[process](image_shape=(2, 4))
    A = MEASUREMENTS["mask"][0]
    x = jax.random.normal(jax.random.key(3), (n, 2, 4, 1))
    known = Known(gaussian_eps(sde, np.full((2, 4, 1), mean, np.float32), VARIANCE), sde, A, A(x))
    for sampler in samplers_of(sde):
        run = jax.jit(lambda u, s=sampler: s(known, jax.random.key(1), u), compiler_options=FAST_RUNNING)
        samples = run(sde.prior(jax.random.key(2), x.shape))
        found = np.asarray(impose(A, known.y, sde.project(samples.u)))
        seen = np.broadcast_to(A.seen == 1, x.shape)
        np.testing.assert_array_equal(found[seen], np.asarray(x)[seen])
        np.testing.assert_allclose(found[~seen].mean(), mean, atol=4 * np.sqrt(VARIANCE / (4 * n)) + 0.01)
        np.testing.assert_allclose(found[~seen].var(), VARIANCE, rtol=4 * np.sqrt(2 / (4 * n)) + 0.05)


def test_evaluations_are_counted():
    sde = SDES["vp"]()
    calls = []

    def eps_fn(u, t):
        jax.debug.callback(lambda: calls.append(1))
        return u

    A = Mask(jnp.ones((1, 2, 2, 1)))
    sampler = Replacing(SAMPLERS["em"](sde, nfe=5), resamples=3)
    u_T = jnp.ones((1, 2, 2, 1))
    samples = sampler(Known(eps_fn, sde, A, project(A, u_T)), jax.random.key(0), u_T)
    jax.block_until_ready(samples.u)
    jax.effects_barrier()
    assert len(calls) == samples.nfe == sampler.nfe == 13


@pytest.mark.parametrize(("method", "keys"), [("gddim", {}), ("rho_rk", {}), ("ode", {}), ("ddim", {"nfe": 10})])
def test_samplers_that_look_back_or_take_their_own_steps_are_refused(method, keys):
    with pytest.raises(ValueError, match="needs a sampler whose steps see one evaluation"):
        Replacing(SAMPLERS[method](SDES["vp"](), **keys))
