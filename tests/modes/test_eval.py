"""Bits per dimension of exact networks against closed forms, both ways, and what depends on neither batch nor order."""

import json

import numpy as np
import pytest
from scipy.special import roots_hermitenorm
from scipy.stats import norm

from data.source import Drawn
from modes import eval as eval_mode
from modes.eval import BoundBits, likelihood
from samplers.likelihood import importance_weighted
from sde_lib import get_sde
from sde_lib.chain import Chain, linear_betas
from tests.modes.exact import CLASS_MEANS, digits_config, drawn_images, exact_experiment

N, SPREAD, STEPS = 150, 0.1, 12
CONDITIONAL = {"num_classes": 10, "variance": "fixed_small"}


def evaluate(config, folder, **network):
    eval_mode.run(exact_experiment(config, folder, **network))
    return json.loads((folder / "eval.json").read_text())


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    """(report, arrays, the chain) of N images along STEPS of 1000 steps with the exact network of each class."""
    folder = tmp_path_factory.mktemp("bound")
    config = digits_config(
        sde={"schedule": "discrete"},
        model=CONDITIONAL,
        training={"objective": "simple"},
        sampling={"method": "ddpm", "respacing": str(STEPS), "clip_denoised": False},
        eval={"num_images": N, "batch_size": 64},
    )
    report = evaluate(config, folder)
    with np.load(folder / "bound.npz") as arrays:
        arrays = dict(arrays)
    assert (folder / "bound.png").stat().st_size > 10_000
    return report, arrays, Chain(linear_betas(1000)).respaced(str(STEPS)), drawn_images(config, N)


def errors(chain, images, labels):
    """(offset, slope) of predicted x_0 - x_0 = offset + slope noise at each step, (n, 1, ...) and (n, N, H, W, C)."""
    shape = (-1, 1, 1, 1, 1)
    a, s = (np.sqrt(v).reshape(shape) for v in (chain.alphas_cumprod, 1 - chain.alphas_cumprod))
    gain = a * SPREAD / (a**2 * SPREAD + s**2)
    gap = CLASS_MEANS[labels].astype(float)[:, None, None, None] - images
    return (1 - gain * a) * gap, gain * s, s / a


def test_the_errors_of_every_step_are_those_of_the_posterior_mean(bound):
    """150 x 64 pixels: squares of Gaussians scatter by sqrt(2 / 9600) = 1.4 %."""
    _, arrays, chain, (images, labels) = bound
    offset, slope, ratio = errors(chain, images, labels)
    wanted = (offset**2 + slope**2).mean((1, 2, 3, 4))
    np.testing.assert_allclose(arrays["x_0_mse"], wanted, rtol=0.06)
    np.testing.assert_allclose(arrays["eps_mse"], wanted / ratio.ravel() ** 2, rtol=0.06)
    np.testing.assert_array_equal(arrays["step"], chain.timestep_map)


def test_the_terms_of_the_bound_are_their_expectations(bound):
    """Divergences of Gaussians whose means differ by c1 (predicted x_0 - x_0); the decoder by quadrature."""
    _, arrays, chain, (images, labels) = bound
    offset, slope, _ = errors(chain, images, labels)
    log_variance = chain.posterior_log_variance_clipped
    square = (offset**2 + slope**2).mean((1, 2, 3, 4))
    divergence = 0.5 * chain.posterior_mean_coef1**2 * square / np.exp(log_variance) / np.log(2)
    np.testing.assert_allclose(arrays["bits"][1:], divergence[1:], rtol=0.06)
    z, weights = roots_hermitenorm(40)
    mean = (images + offset[0])[..., None] + slope[0].item() * z
    std = np.exp(0.5 * log_variance[0])
    upper = np.where(images > 0.999, np.inf, images + 1 / 255)[..., None]
    lower = np.where(images < -0.999, -np.inf, images - 1 / 255)[..., None]
    mass = np.maximum(norm.cdf(upper, mean, std) - norm.cdf(lower, mean, std), 1e-12)
    decoder = -(np.log2(mass) @ weights).mean() / weights.sum()
    np.testing.assert_allclose(arrays["bits"][0], decoder, rtol=0.03)


def test_the_total_is_the_sum_of_its_terms_and_the_prior(bound):
    report, arrays, chain, (images, _) = bound
    abar = chain.alphas_cumprod[-1]
    prior = 0.5 * (abar * images**2 - abar - np.log1p(-abar)).mean((1, 2, 3)) / np.log(2)
    np.testing.assert_allclose(arrays["prior"], prior, rtol=1e-3, atol=1e-9)
    assert report["bits_per_dim"] == pytest.approx(arrays["bits"].sum() + prior.mean(), rel=1e-5)
    assert report["bits_per_dim"] == pytest.approx(arrays["total"].mean(), rel=1e-9)
    parts = report["decoder"] + report["divergences"] + report["prior"]
    assert parts == pytest.approx(report["bits_per_dim"], rel=1e-9)
    assert (report["n"], report["nfe"], report["variance"]) == (N, STEPS, "fixed_small")


def test_batches_do_not_change_the_bits(tmp_path):
    totals = []
    for size in (4, 12):
        config = digits_config(
            model=CONDITIONAL,
            sampling={"method": "ddpm", "respacing": "4"},
            eval={"num_images": 11, "batch_size": size},
        )
        config.eval.likelihood = "bound"
        evaluate(config, tmp_path / str(size))
        totals.append(np.load(tmp_path / str(size) / "bound.npz")["total"])
    assert len(totals[0]) == 11
    np.testing.assert_allclose(*totals, rtol=1e-5)


def flow_config(repeats):
    return digits_config(
        model=CONDITIONAL,
        eval={"num_images": 8, "bpd_estimator": "exact", "bpd_repeats": repeats, "flow_tolerance": 1e-5},
        data={"uniform_dequantization": True},
    )


def levels_of(config, spread):
    """(lower, upper) edges of the grey levels of the first 8 test images in standard deviations, the deviation (1,).

    The flow of N(m, spread) is u_T = psi m + c (x - m), c^2 = (psi^2 spread + 1 - psi^2) / spread, so the model, which
    has u_T ~ N(0, 1), is N(m (1 - psi / c), 1 / c^2).
    """
    images, labels = drawn_images(config, 8)
    psi = get_sde(config).Psi(1.0, 0.0).item()
    c = np.sqrt((psi**2 * spread + 1 - psi**2) / spread)
    low = (images + 1) * 127.5 / 128 - 1
    centre = CLASS_MEANS[labels].astype(float)[:, None, None, None] * (1 - psi / c)
    return (low - centre) * c, (low + 1 / 128 - centre) * c, 1 / c


def test_bits_of_the_flow_are_those_of_the_density_of_the_class(tmp_path):
    """Minus log2 of the density averaged over levels: mean square (a^2 + a b + b^2) / 3; 32 draws scatter by 3e-4."""
    config = flow_config(repeats=32)
    report = evaluate(config, tmp_path, spread=SPREAD)
    a, b, std = levels_of(config, SPREAD)
    nats = (a**2 + a * b + b**2) / 6 + np.log(std) + 0.5 * np.log(2 * np.pi)
    assert report["bits_per_dim"] == pytest.approx(nats.mean() / np.log(2) + 7, abs=1e-3)
    assert report["offset"] == 7 and report["warning"] == ""


def test_importance_weighting_lies_between_the_mean_and_the_bits_of_the_levels(tmp_path, spread=0.005):
    """A Gaussian that changes by nats within a level: -log2 of its integral over the level is known."""
    config = flow_config(repeats=16)
    report = evaluate(config, tmp_path, spread=spread)
    a, b, _ = levels_of(config, spread)
    a, b = np.where(a + b > 0, (a, b), (-b, -a))  # the upper tail keeps its digits
    log_mass = norm.logsf(a) + np.log1p(-np.exp(norm.logsf(b) - norm.logsf(a)))
    levels = -log_mass.mean() / np.log(2)
    assert levels + 1e-3 < report["bits_per_dim_importance"] < report["bits_per_dim"] - 1e-2
    assert report["repeats"] == 16


def test_importance_weighting_of_many_draws_is_the_logarithm_of_their_mean():
    """Lognormal weights: E[w] = exp(m + s^2 / 2), so K = 1e5 draws give its logarithm within 1e-2 nats."""
    m, s, D = -40.0, 0.8, 10
    logs = np.random.default_rng(0).normal(m, s, (3, 100_000))
    np.testing.assert_allclose(
        importance_weighted(-logs / np.log(2) / D, D) * D * np.log(2), -(m + s**2 / 2), atol=2e-2
    )
    np.testing.assert_allclose(importance_weighted(-logs[:, :1] / np.log(2) / D, D), -logs[:, 0] / np.log(2) / D)


def test_velocity_draws_of_cld_are_weighted_towards_the_density_of_x(tmp_path, t_min=0.001):
    """The marginal of x at t_min is Gaussian; 32 draws come within 0.02 bits of it, their mean does not."""
    config = digits_config("cld", training={"t_min": t_min})
    config.data.update(dataset="points", points="rings", image_size=0, num_channels=0, num_points=64)
    config.eval.update(image_split="train", num_images=32, bpd_estimator="exact", bpd_repeats=32, batch_size=32)
    experiment = exact_experiment(config, tmp_path, mean=lambda condition: np.zeros((1, 1), np.float32), spread=1.0)
    eval_mode.run(experiment)
    report, sde = json.loads((tmp_path / "eval.json").read_text()), experiment.sde
    variance = sde.Psi(t_min, 0.0)[0, 0, 0, 0] ** 2 + sde.Sigma(t_min)[0, 0, 0, 0]
    points = Drawn(experiment.dataset("train"), 32, config.seed).arrays()[0]
    wanted = -norm.logpdf(points, 0, np.sqrt(variance)).mean() / np.log(2)
    assert abs(report["bits_per_dim_importance"] - wanted) < 0.02 < report["bits_per_dim"] - wanted


def test_the_likelihood_suits_the_objective_unless_it_is_named():
    config = digits_config()
    assert likelihood(config) == "flow"
    config.training.objective = "hybrid"
    assert likelihood(config) == "bound"
    config.eval.likelihood = "flow"
    assert likelihood(config) == "flow"
    config.eval.likelihood = "elbo"
    with pytest.raises(ValueError, match="'elbo' is unknown.*choose from flow, bound"):
        likelihood(config)


@pytest.mark.parametrize(
    ("process", "changes", "message"),
    [("cld", {}, "config.sde.name='cld' does not have"), ("vp", {"centered": False}, "config.data.centered=True")],
)
def test_a_bound_is_refused_where_there_is_none(process, changes, message, tmp_path):
    made = exact_experiment(digits_config(process, data=changes), tmp_path)
    with pytest.raises(ValueError, match=message):
        BoundBits(made.config, made.sde, made.eps_net, made.shape)


def test_bins_of_time_keep_their_places(tmp_path):
    """Four images lie in four of ten bins; the others are there and empty."""
    config = digits_config(
        sde={"schedule": "discrete"}, model=CONDITIONAL, eval={"num_images": 4, "likelihood": "bound"}
    )
    config.sampling.update(method="ddpm", respacing="2")
    report = evaluate(config, tmp_path)
    bins, training = report["loss_bins"], config.training
    edges = np.linspace(training.t_min, 1.0, eval_mode.BINS + 1)
    np.testing.assert_allclose([part["t"] for part in bins], np.stack([edges[:-1], edges[1:]], 1), atol=1e-5)
    counts = [part["n"] for part in bins]
    assert sum(counts) == 4 and counts.count(0) >= 6
    assert [part["loss"] is None for part in bins] == [n == 0 for n in counts]
    losses = [part["n"] * (part["loss"] or 0.0) for part in bins]
    assert sum(losses) / 4 == pytest.approx(report["loss"], rel=1e-5)  # weights of times are 1
