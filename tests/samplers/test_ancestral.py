"""DDPM and DDIM sampling against the loops of three public code bases, and as members of the family of solvers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from samplers.ancestral import DDIM, VARIANCE_PRESERVING, Ancestral
from sde_lib import SDES, VP
from sde_lib.exact import gaussian_eps
from tests.sde_lib.test_chain import close, nhwc, toy


class Toy:
    """The golden networks as a sampler sees them; labels are step numbers times 1000 / steps where rescaled."""

    def __init__(self, steps=1000, rescaled=True, prediction="eps", variance="fixed_large"):
        self.steps, self.prediction, self.variance = steps, prediction, variance
        self.scale = 1000 / steps if rescaled else 1.0

    def output(self, u, t):
        return toy(u, (jnp.round(t * self.steps) - 1) * self.scale, self.variance.startswith("learned"))

    def __call__(self, u, t):
        return self.output(u, t)[..., : u.shape[-1]]


def sde(steps=1000, schedule="discrete"):
    return VP(schedule=schedule, num_steps=steps)


def loop(sampler, eps_fn, x, noises=None):
    """(states, predicted images) after each step, with given noise."""
    visited, network = [], sampler.check(eps_fn)
    move = jax.jit(lambda u, i, z: sampler.move(network, u, jnp.full(len(u), i), z))
    for k in range(sampler.nfe):
        z = jnp.zeros_like(x) if noises is None else nhwc(noises[k])
        x, x_0 = move(x, sampler.nfe - 1 - k, z)
        visited.append((x, x_0))
    return tuple(jnp.stack(v) for v in zip(*visited, strict=True))


IMPROVED = {
    "ddpm250_fixedlarge": (Ancestral(sde(), respacing="250"), Toy()),
    "ddim25": (DDIM(sde(), respacing="ddim25"), Toy()),
    "ddpm_10_15_20_learned": (Ancestral(sde(300), respacing="10,15,20"), Toy(300, False, variance="learned_range")),
}


@pytest.mark.parametrize("tag", IMPROVED)
def test_loops_of_improved_diffusion(golden, tag):
    g = golden("torch/idm_loops.npz")
    g = {key.removeprefix(f"{tag}."): value for key, value in g.items() if key.startswith(f"{tag}.")}
    sampler, eps_fn = IMPROVED[tag]
    np.testing.assert_array_equal(sampler.chain.timestep_map, g["timestep_map"])
    np.testing.assert_allclose(sampler.chain.betas, g["spaced_betas"], rtol=1e-9)
    states, x_0 = loop(sampler, eps_fn, nhwc(g["x_T"]), g.get("noises"))
    np.testing.assert_allclose(states[-1], nhwc(g["final"]), atol=1e-4)
    for k, step in enumerate(g["traj_steps"]):
        np.testing.assert_allclose(states[step], nhwc(g["traj"][k]), atol=1e-4)
        np.testing.assert_allclose(x_0[step], nhwc(g["traj_pred_xstart"][k]), atol=1e-4)


STEPS = {
    "eps_fixedlarge": (sde(), None, Toy()),
    "eps_fixedsmall": (sde(), None, Toy(variance="fixed_small")),
    "eps_learnedrange": (sde(4000, "discrete_cosine"), None, Toy(4000, variance="learned_range")),
    "x0_fixedsmall": (sde(1000, "discrete_cosine"), None, Toy(prediction="x_0", variance="fixed_small")),
    "eps_learnedrange_spaced": (sde(), "250", Toy(variance="learned_range")),
}


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("tag", STEPS)
def test_single_steps_of_improved_diffusion(golden, tag, clip):
    g = golden("torch/idm_process.npz")
    process, respacing, eps_fn = STEPS[tag]
    i, x, z = jnp.asarray(g[f"{tag}.t"]), nhwc(g["x_t"]), nhwc(g["step_noise"])
    prefix = f"{tag}.{'clip' if clip else 'noclip'}"
    for eta in (0.0, 0.5):
        ddim = DDIM(process, respacing=respacing or "", eta=eta, clip_denoised=clip)
        close(f"{prefix}.ddim_eta{eta}", ddim.move(eps_fn, x, i, z)[0], g)
    close(f"{prefix}.ddim_reverse", ddim.raise_noise(eps_fn, x, i), g)
    if f"{prefix}.p_sample" in g:
        ddpm = Ancestral(process, respacing=respacing or "", clip_denoised=clip)
        close(f"{prefix}.p_sample", ddpm.move(eps_fn, x, i, z)[0], g)


XYF = {
    "loop_large_uniform": Ancestral(sde(), respacing="uniform20", variance="fixed_large"),
    "loop_small_quad": Ancestral(sde(), respacing="quad15", variance="fixed_small"),
    "loop_ddim_uniform": DDIM(sde(), respacing="uniform10"),
}


@pytest.mark.parametrize("tag", XYF)
def test_loops_of_a_ddpm_code_base(golden, tag):
    """xyfJASON: sample and predicted x_0 of the kept iterations."""
    g = golden("torch/xyf_ddpm.npz")
    sampler, x_T = XYF[tag], nhwc(g[f"{tag}.x_T"])
    np.testing.assert_array_equal(sampler.chain.timestep_map, g[f"{tag}.seq"])
    states, x_0 = loop(sampler, Toy(), x_T, g.get(f"{tag}.noises"))
    for k, step in enumerate(g[f"{tag}.kept_iterations"]):
        np.testing.assert_allclose(states[step], nhwc(g[f"{tag}.sample"][k]), atol=1e-4)
        np.testing.assert_allclose(x_0[step], nhwc(g[f"{tag}.pred_x0"][k]), atol=1e-4)
    if f"{tag}.inversion" in g:
        relative(sampler.encode(Toy(), 0.5 * x_T), g[f"{tag}.inversion"], 1e-4)


def relative(ours, expected, tolerance=2e-5):
    expected = nhwc(expected)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_steps_between_ddim_and_ddpm(golden, eta):
    """GenerativeZoo with 100 of 1000 steps: from t = 509 to 499, and the last step from 9."""
    g, tag = golden("torch/gz_ddpm.npz"), f"step_eta{eta:g}_10"
    x, z = nhwc(g["x"]), nhwc(g["noise"])
    sampler = DDIM(sde(), respacing="trailing100", eta=eta, clip_denoised=False)
    for name, step in (("mid", 509), ("last", 9)):
        i = np.flatnonzero(sampler.chain.timestep_map == step)[0]
        relative(sampler.move(Toy(), x, jnp.full(len(x), i), z)[0], g[f"{tag}.{name}"])


def test_loop_of_generative_zoo(golden):
    g = golden("torch/gz_ddpm.npz")
    sampler = DDIM(sde(), respacing="trailing20", eta=1.0, clip_denoised=False)
    noises = np.concatenate([g["sample_s20.noises"], np.zeros_like(g["sample_s20.noises"][:1])])
    relative(loop(sampler, Toy(), nhwc(g["sample_s20.x_T"]), noises)[0][-1], g["sample_s20.out"])


@pytest.mark.parametrize(
    "tag, factor, respacing, eta", [("ood_half", 0.5, "trailing50", 0.0), ("ood_ddpm1", 0.3, "trailing15", 1.0)]
)
def test_reconstructions_of_generative_zoo(golden, tag, factor, respacing, eta):
    """Noised to a part of the chain and back: the process ends there, with the steps of the chain up to it."""
    g = golden("torch/gz_ddpm.npz")
    process = sde().until(factor)
    first, *drawn = g[f"{tag}.noises"]
    x = process.mean(nhwc(g["x0"]), np.full(4, factor)) + np.sqrt(process.Sigma(factor)).item() * nhwc(first)
    relative(x, g[f"{tag}.x_noisy"])
    sampler = DDIM(process, respacing=respacing, eta=eta, clip_denoised=False)
    noises = np.concatenate([drawn, np.zeros((sampler.nfe - len(drawn), *first.shape), first.dtype)]) if drawn else None
    relative(loop(sampler, Toy(), nhwc(g[f"{tag}.x_noisy"]), noises)[0][-1], g[f"{tag}.reconstruction"])
    assert np.isfinite(sampler(Toy(), jax.random.key(0), x).u).all()  # not refused for the noise that it lacks


def test_eta_1_is_ancestral_sampling_with_the_small_variance():
    x, z = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 1))
    ddim, ddpm = DDIM(sde(), respacing="20", eta=1.0), Ancestral(sde(), respacing="20", variance="fixed_small")
    for i in (0, 5, 19):
        a, b = (sampler.move(Toy(), x, jnp.full(3, i), z)[0] for sampler in (ddim, ddpm))
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_ddim_is_the_exponential_integrator_of_order_0_at_the_times_of_the_chain():
    """Between the last step and the first, where the process ends at t = 1 / 1000."""
    process = sde()
    eps_fn = gaussian_eps(process, jnp.full((4, 4, 1), 0.2), 0.3)
    ddim = DDIM(process, respacing="10", clip_denoised=False)
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    times = ddim.times[::-1]
    u = x
    for t, s in zip(times[:-1], times[1:], strict=True):
        Psi, R = process.Psi(s, t).item(), process.R(np.array([s, t])).ravel()
        u = Psi * u + (R[0] - Psi * R[1]) * eps_fn(u, jnp.full(2, t))
    np.testing.assert_allclose(loop(ddim, eps_fn, x)[0][-2], u, atol=2e-5)


@pytest.mark.parametrize("steps", [{"nfe": 1}, {"respacing": "quad1"}])
@pytest.mark.parametrize("method", [Ancestral, DDIM])
def test_one_step_is_the_estimate_of_the_data(method, steps):
    """Of data on one point it is that point whatever the noise; what eps leaves of it in float32 at t = 1 is 2e-5."""
    point = jnp.full((4, 4, 1), 0.4)
    eps_fn = gaussian_eps(sde(), point, 0.0)
    sampler = method(sde(), clip_denoised=False, **steps)
    x_T = sde().prior(jax.random.key(1), (3, 4, 4, 1))
    samples = sampler(eps_fn, jax.random.key(0), x_T)
    assert samples.nfe == 1
    np.testing.assert_allclose(samples.u, jnp.broadcast_to(point, x_T.shape), atol=1e-3)


def test_a_chain_without_its_noisy_part_does_not_sample():
    with pytest.raises(ValueError, match="begins at step 333 of 1000, where there is more signal"):
        DDIM(sde(schedule="discrete_cosine"), respacing="10,0,0")(Toy(), jax.random.key(0), jnp.zeros((1, 4, 4, 1)))


@pytest.mark.parametrize("process", [VP(), sde(500, "discrete_cosine")])
@pytest.mark.parametrize("method", [Ancestral, DDIM])
def test_gaussian_data_come_out_with_their_mean_and_deviation(method, process):
    """The whole chain with the exact eps; the small variance is exact for a point, the large for white noise."""
    eps_fn = gaussian_eps(process, jnp.full((4, 4, 1), 0.4), 0.04)
    sampler = method(process, nfe=250, clip_denoised=False)
    x = jax.jit(lambda key: sampler(eps_fn, key, process.prior(jax.random.key(1), (512, 4, 4, 1))).u)(jax.random.key(0))
    assert abs(float(x.mean()) - 0.4) < 0.02  # 8192 numbers: 0.002, and the bias of 250 steps
    assert abs(float(x.std()) - 0.2) < 0.02


def test_images_do_not_depend_on_the_batch():
    process = sde()
    sampler = Ancestral(process, respacing="5")
    keys, u_T = jax.random.split(jax.random.key(0), 4), process.prior(jax.random.key(1), (4, 4, 4, 1))
    together = sampler(Toy(), keys, u_T).u
    np.testing.assert_allclose(sampler(Toy(), keys[2:3], u_T[2:3]).u[0], together[2], atol=1e-6)


def test_the_trajectory_holds_states_and_predicted_images():
    process = sde()
    sampler = DDIM(process, respacing="6", trajectory=True)
    x = process.prior(jax.random.key(1), (2, 4, 4, 1))
    samples = sampler(Toy(), jax.random.key(0), x)
    states, x_0 = loop(sampler, Toy(), x)
    np.testing.assert_allclose(samples.u, states[-1], atol=1e-6)
    np.testing.assert_allclose(samples.trajectory["u"][1:], states[:-1], atol=1e-6)
    np.testing.assert_allclose(samples.trajectory["x_0"], x_0, atol=1e-6)
    np.testing.assert_allclose(samples.trajectory["t"], sampler.times[::-1])


def test_encoding_then_decoding_gives_the_image_back():
    """To first order in the steps, for a smooth field."""
    process = sde()
    eps_fn = gaussian_eps(process, jnp.full((4, 4, 1), 0.1), 0.25)
    x = 0.5 * jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    errors = []
    for steps in ("100", "200", "400"):
        sampler = DDIM(process, respacing=steps, clip_denoised=False)
        latent = sampler.encode(eps_fn, x)
        errors.append(float(jnp.abs(loop(sampler, eps_fn, latent)[0][-1] - x).max()))
    assert errors[2] < 0.02 and 1.7 < errors[0] / errors[1] < 2.3


def test_processes():
    accepted = [name for name in SDES if VARIANCE_PRESERVING.accept(SDES[name](image_shape=(4, 4)))]
    assert {"vp", "trig"} <= {*accepted}
    assert not {"subvp", "ve", "edm", "flow", "cld", "pld", "hold", "blur"} & {*accepted}
