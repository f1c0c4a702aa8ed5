"""--mode=ood on exact networks: reconstructions in closed form, golden scores, and sets that can or cannot be told."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from data.source import Drawn
from engine import outliers
from engine.batches import first_images
from engine.reconstruct import Reconstruct, ended, errors
from evaluation import detection as bootstrap
from evaluation.complexity import png_bits
from evaluation.detection import curves, detection
from linnet.devices import parallel
from linnet.randomness import Part, Purpose, fold, key_for
from modes import ood
from tests.modes.exact import digits_config, exact_experiment

SPREAD = 0.1


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Of the bootstrap, where the intervals are not looked at."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 3)


def grey(condition):
    """A network of flat grey images."""
    return jnp.full((1, 1, 1, 1), -0.2)


def experiment(tmp_path, process="vp", **groups):
    """An Experiment on the exact network of N(-0.2, SPREAD I), against pictures of noise in tmp_path."""
    folder = tmp_path / "noise"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(rng.choice([0, 255], (8, 8)).astype(np.uint8)).save(folder / f"{i}.png")
    config = digits_config(process, **groups)
    with config.ignore_type():
        config.ood.update({"path": str(folder), "recon_factor": (0.2, 0.6), **groups.get("ood", {})})
    return exact_experiment(config, tmp_path / "out", mean=grey, spread=SPREAD)


@pytest.mark.parametrize("process", ["vp", "ve", "cld", "pld", "blur"])
def test_reconstructions_are_those_of_the_flow(process, tmp_path):
    """For N(m, V) the probability flow takes u_t to x^ = m + sqrt(V) w, w the whitened state: for k = 1

        x^ = m + sqrt(V / (Psi^2 V + Sigma)) (u_t - Psi m),

    and in general |x^ - x| does not depend on the solver: 400 steps against 60 within their order. A state far from
    its end comes back with an error that the closed form has for k = 1.
    """
    found = {}
    for nfe in (60, 400):
        e = experiment(tmp_path, process, sampling={"method": "gddim", "nfe": nfe})
        reconstruct = Reconstruct(e.config, e.sde, e.carried)
        batch = first_images(e.evaluated(), 8, 0)
        scores, _ = reconstruct(parallel.replicate({}), parallel.shard(batch), 1)
        found[nfe] = {name: parallel.unshard(value) for name, value in scores.items()}
    np.testing.assert_allclose(found[60]["l2"], found[400]["l2"], rtol=0.02)
    if process in ("cld", "pld", "blur"):
        return
    sde = ended(e.sde, 0.6)
    keys = key_for(e.config.seed, Purpose.RECONSTRUCTION, 1, batch["index"])
    x = jnp.asarray(batch["image"] / 127.5 - 1, jnp.float32)
    t = sde.last_time
    u, eps = sde.perturb(fold(keys, Part.PRIOR), x, jnp.full(8, t))
    Psi, Sigma = np.asarray(sde.Psi(t, 0.0)).item(), np.asarray(sde.Sigma(t)).item()
    whitened = (u + 0.2 * Psi) / np.sqrt(Psi**2 * SPREAD + Sigma)
    gap = -0.2 + np.sqrt(SPREAD) * whitened - x
    own = np.sqrt(Sigma / (Psi**2 * SPREAD + Sigma)) * whitened
    expected = {"l1": np.abs(gap), "l2": gap**2, "loss": (own - eps) ** 2}
    for name, maps in expected.items():
        np.testing.assert_allclose(found[400][name], maps.reshape(8, -1).mean(1), rtol=5e-3, err_msg=name)


@pytest.mark.parametrize("tag", ["ood_half", "ood_ddpm1"])
def test_errors_are_those_of_generative_zoo(golden, tag):
    g = golden("torch/gz_ddpm.npz")
    found = errors(*(jnp.asarray(g[name]).transpose(0, 2, 3, 1) for name in (f"{tag}.reconstruction", "x0")))
    for name, values in found.items():
        np.testing.assert_allclose(values, g[f"{tag}.score_{name}"], rtol=1e-3)


def test_levels_of_a_chain_are_its_steps(tmp_path):
    """GenerativeZoo begins at step int(recon_factor N) - 1."""
    sde = experiment(tmp_path, sde={"schedule": "discrete"}).sde
    for factor, step in ((0.5, 499), (0.3, 299), (0.0015, None), (1.0, 999)):
        if step is None:
            with pytest.raises(ValueError, match=r"recon_factor=0.0015 leaves 1 steps of the chain of 1000"):
                ended(sde, factor)
        else:
            assert ended(sde, factor).last_time == pytest.approx((step + 1) / 1000)


def test_outliers_are_told_and_the_report_says_how_well(tmp_path, capsys):
    e = experiment(tmp_path, sampling={"method": "ddim", "nfe": 5, "clip_denoised": False})
    ood.run(e)
    folder = tmp_path / "out"
    report = json.loads((folder / "ood.json").read_text())
    assert report["scores"]["l2"]["auroc"] == report["scores"]["loss@0.2"]["auroc"] == 1
    assert report["scores"]["l2"]["fpr95"] == 0
    assert sorted(report["scores"]) == sorted(outliers.names(e.config))
    with np.load(folder / "scores.npz") as scores:
        assert scores["data/l2"].shape == scores["outliers/l2"].shape == (8,)
        by_level = np.stack([scores["data/l2@0.2"], scores["data/l2@0.6"]])
        np.testing.assert_allclose(scores["data/l2"], np.sqrt(by_level.prod(0)), rtol=1e-5)
    assert (folder / "histograms.png").exists() and (folder / "ood.png").exists()
    assert "AUROC" in capsys.readouterr().out


def test_the_same_images_cannot_be_told_and_batches_have_no_effect(tmp_path):
    e = experiment(tmp_path, ood={"dataset": "digits", "path": ""}, sampling={"nfe": 4})
    ood.run(e)
    scores = json.loads((tmp_path / "out" / "ood.json").read_text())["scores"]
    assert scores["l1"]["auroc"] == scores["huber@0.6"]["auroc"] == 0.5
    one = np.load(tmp_path / "out" / "scores.npz")["data/l1"]
    groups = {"eval": {"batch_size": 2}, "sampling": {"nfe": 4}, "ood": {"dataset": "digits", "path": ""}}
    other = experiment(tmp_path, **groups)
    other.paths.result_folder = str(tmp_path / "twos")
    ood.run(other)
    np.testing.assert_allclose(np.load(tmp_path / "twos" / "scores.npz")["data/l1"], one, rtol=2e-5)


def test_a_run_goes_on_after_the_scores_that_exist(tmp_path, monkeypatch):
    e = experiment(tmp_path, eval={"batch_size": 4}, sampling={"nfe": 4})
    score, made = outliers.Scores.score, []

    def stop(self, batch, kept):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(kept)
        return score(self, batch, kept)

    monkeypatch.setattr(outliers.Scores, "score", stop)
    with pytest.raises(KeyboardInterrupt):
        ood.run(e)
    made.clear()
    ood.run(e)
    assert made == [4]


def test_bits_are_among_the_scores(tmp_path):
    """Exact network, exact bits: noise is far less likely, and typicality is the distance to the training images."""
    e = experiment(tmp_path, ood={"bits": "flow"}, eval={"flow_tolerance": 1e-3}, sampling={"nfe": 4})
    ood.run(e)
    with np.load(tmp_path / "out" / "scores.npz") as scores:
        assert (scores["outliers/bits"] > scores["data/bits"].max()).all()
        images = Drawn(e.evaluated(), 8, e.config.seed)
        images = np.stack([images[i]["image"] for i in range(8)])
        np.testing.assert_allclose(scores["data/bits"] - scores["data/complexity"], png_bits(images), rtol=1e-5)
        assert (scores["outliers/typicality"] > scores["data/typicality"].max()).all()


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"score": "l3"}, "config.ood.score='l3' is none of the scores: l1, l2, huber, loss, l1@0.2"),
        ({"lpips": True, "lpips_path": "/nowhere"}, "no alex.pth .*folder /nowhere"),
        ({"dataset": "digits", "path": "", "bits": "bound"}, "needs|is for"),
    ],
)
def test_what_cannot_be_scored_is_said_before_the_work(keys, words, tmp_path, monkeypatch):
    monkeypatch.setattr(outliers.Scores, "score", lambda *_: pytest.fail("too late"))
    e = experiment(tmp_path, "ve", ood=keys)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        ood.run(e)


def test_outliers_of_another_size_are_refused(tmp_path):
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "x.png")
    e = experiment(tmp_path, ood={"path": str(tmp_path / "x.png")})
    e.config.ood.path = str(tmp_path / "large")
    (tmp_path / "large").mkdir()
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "large" / "x.png")
    with pytest.raises(ValueError, match="large are 9x8x3 and the network takes 8x8x1"):
        ood.run(e)


def test_areas_of_known_sets(monkeypatch):
    """Half of the outliers above all, half below all: AUROC 1/2; of Gaussians a shift d apart it is Phi(d / sqrt 2)."""
    inside = np.linspace(0, 1, 50)
    assert curves(inside, np.array([2.0, 3.0, -1.0, -2.0]))["auroc"] == 0.5
    assert curves(inside, inside + 5) == {"auroc": 1.0, "aupr": 1.0, "fpr95": 0.0}
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    rng = np.random.default_rng(0)
    found = detection(rng.normal(size=2000), rng.normal(size=2000) + 1)
    expected = float(jax.scipy.stats.norm.cdf(2**-0.5))
    low, high = found["auroc_interval"]
    assert low < found["auroc"] < high and abs(found["auroc"] - expected) < 0.03  # 4 standard errors of 0.0075
    assert 0.015 < high - low < 0.045  # the same error by the bootstrap: 4 * 0.0075
    with pytest.raises(ValueError, match="not finite"):
        detection(np.array([np.nan, 1.0]), inside)


def test_flat_images_are_simpler_than_noise():
    flat, noise = np.zeros((1, 16, 16, 1), np.uint8), np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1))
    assert png_bits(flat)[0] < 4 < 8 < png_bits(noise.astype(np.uint8))[0]
