"""Images of which y = A x is known: on Gaussian data their law is that of the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers import SAMPLERS
from samplers.measurements import Grey, Mask, Pooling, adjoint, impose, project
from samplers.posterior import Posterior
from sde_lib import SDES
from sde_lib.exact import gaussian_eps
from tests.samplers.gaussian_images import GaussianImages, dense, law_of_flow

SEEN = jnp.array([[1.0, 0, 1, 0], [0, 1, 1, 0]])[None, :, :, None]
MEASUREMENTS = {
    "mask": (Mask(SEEN), (2, 4, 1)),
    "grey": (Grey(3), (2, 2, 3)),
    "pooling": (Pooling(2), (2, 4, 1)),
}
VARIANCE = 0.3


@pytest.fixture(params=MEASUREMENTS)
def measured(request):
    return MEASUREMENTS[request.param]


# Masks under every process, the others under one of each kind.
PAIRS = [("mask", name) for name in SDES] + [(m, p) for m in ("grey", "pooling") for p in ("cld", "blur")]


@pytest.fixture(params=PAIRS, ids="-".join)
def case(request):
    """(A, shape of x, process)."""
    name, process = request.param
    return *MEASUREMENTS[name], process


def test_the_pseudo_inverse_is_that_of_the_matrix(measured, x64):
    A, shape = measured
    M = np.asarray(dense(A, shape))
    y_shape = A(jnp.zeros((1, *shape))).shape[1:]
    np.testing.assert_allclose(dense(lambda y: A.pinv(y), y_shape), np.linalg.pinv(M), atol=1e-12)
    np.testing.assert_allclose(dense(lambda y: adjoint(A, y), y_shape), M.T, atol=1e-12)
    P = np.asarray(dense(lambda x: project(A, x), shape))
    np.testing.assert_allclose(P @ P, P, atol=1e-12)


def test_what_is_imposed_is_measured_and_the_rest_stays(measured, x64):
    A, shape = measured
    x, other = (jax.random.normal(jax.random.key(i), (3, *shape)) for i in range(2))
    found = impose(A, A(other), x)
    np.testing.assert_allclose(A(found), A(other), atol=1e-12)
    np.testing.assert_allclose(found - project(A, found), x - project(A, x), atol=1e-12)


def test_seen_pixels_are_those_that_were_given_bit_by_bit():
    """Also beside states that are out of all measure."""
    A = Mask(SEEN)
    x, other = (jax.random.normal(jax.random.key(i), (3, 2, 4, 1)) for i in range(2))
    seen = np.broadcast_to(SEEN == 1, x.shape)
    found = np.asarray(impose(A, A(other), 1e20 * x))
    np.testing.assert_array_equal(found[seen], np.asarray(other)[seen])
    np.testing.assert_array_equal(found[~seen], np.asarray(1e20 * x)[~seen])


def check_eps(name, data, A, method, **keys):
    """The posterior eps is that of the images with this y, at states all over the process."""
    sde = SDES[name](image_shape=data.shape[:2])
    y = A(jnp.asarray(data.draw(1)))
    known = Posterior(data.eps_fn(sde), sde, A, y, method, **keys)
    posterior = jax.jit(lambda u, t: known(u, t))
    exact = jax.jit(data.given(A, y).eps_fn(sde))
    u_0 = sde.lift(jnp.asarray(np.concatenate([data.draw(i) for i in range(3)])))
    noised = jax.jit(lambda t: sde.perturb(jax.random.key(0), u_0, t)[0])
    for share in (0.02, 0.2, 0.6, 0.95):
        t = jnp.full(3, sde.t_min + share * (sde.T - sde.t_min))
        u = noised(t)
        np.testing.assert_allclose(posterior(u, t), exact(u, t), atol=1e-5)


def test_moment_matching_is_exact_for_gaussian_images(case, x64):
    """With as many iterations as numbers are measured, conjugate gradients end; rounding grows with 1 / Psi^2."""
    A, shape, process = case
    check_eps(process, GaussianImages.correlated(shape), A, "mmps", iterations=8)


def test_pseudo_inverse_guidance_is_exact_for_white_images(case, x64):
    A, shape, process = case
    check_eps(process, GaussianImages.white(shape, VARIANCE), A, "pigdm", sigma_data=VARIANCE**0.5)


@pytest.mark.parametrize(("name", "process"), [pair for pair in PAIRS if pair[1] != "blur"])
def test_the_null_space_is_exact_for_white_images_whose_pixels_are_noised_alike(name, process, x64):
    A, shape = MEASUREMENTS[name]
    check_eps(process, GaussianImages.white(shape, VARIANCE), A, "null_space")


def test_images_that_take_their_own_steps_have_their_own_y():
    """Of the adaptive flow, which asks for one image at a time; each alone is the same to the tolerance."""
    sde = SDES["vp"]()
    A = Mask(jnp.concatenate([SEEN, 1 - SEEN]))
    x = jax.random.normal(jax.random.key(0), (2, 2, 4, 1))
    network = gaussian_eps(sde, np.full((2, 4, 1), 0.2, np.float32), VARIANCE)
    known = Posterior(network, sde, A, A(x), sigma_data=VARIANCE**0.5)
    u_T = sde.prior(jax.random.key(1), x.shape)
    sampler = SAMPLERS["ode"](sde)
    both, alone = (
        jax.jit(lambda u, k=k: sampler(k, jax.random.key(2), u).u)(u)
        for k, u in ((known, u_T), (known.of_image(1), u_T[1:]))
    )
    np.testing.assert_allclose(both[1], alone[0], atol=1e-3)
    np.testing.assert_allclose(A(both), A(x), atol=1e-2)  # sigma at t_min is 0.01


@pytest.mark.parametrize("process", ["vp", "cld", "blur"])
def test_samples_have_the_law_of_the_images_with_this_y(process, x64):
    """Of a deterministic sampler, so without drawing: what differs is of its steps, and twice as many leave less."""
    A, shape = MEASUREMENTS["mask"]
    data = GaussianImages.correlated(shape)
    sde = SDES[process](image_shape=shape[:2])
    y = A(jnp.asarray(data.draw(1)))
    given = data.given(A, y)
    known = Posterior(data.eps_fn(sde), sde, A, y, "mmps", iterations=8)
    gaps = []
    for nfe in (20, 80):
        sampler = SAMPLERS["gddim"](sde, nfe=nfe)
        mean, covariance = law_of_flow(jax.jit(lambda u, s=sampler: sde.project(s(known, None, u).u)), sde, shape)
        gaps.append(max(np.abs(mean - given.mean).max(), np.abs(covariance - given.C).max()))
    assert gaps[1] < 0.005 and gaps[1] < gaps[0] / 3
