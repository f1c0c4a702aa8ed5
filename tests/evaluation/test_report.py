"""The report: names that carry n, agreement with the metrics themselves, provenance, one line."""

import json

import numpy as np
import pytest

from evaluation.collect import Collected, collect
from evaluation.features import Extractor, get_extractor
from evaluation.frechet import frechet_distance
from evaluation.moments import Gaussian
from evaluation.report import build_report, metric_key, summary, write_report
from evaluation.statistics import Statistics, from_collected
from evaluation.train_classifier import load_digits


def gaussian_samples(n):
    """Unit Gaussian in 2 dimensions said to come from n images, with logits of 20 of them."""
    rng = np.random.default_rng(0)
    return Collected(
        gaussian=Gaussian(n, np.zeros(2), np.eye(2)),
        features=rng.standard_normal((20, 2)),
        logits=rng.standard_normal((20, 3)),
    )


def inception():
    return Extractor(name="inception", hash="a" * 64, preprocessing="resize", compute=None)


def reference():
    return Statistics(mu=np.array([3.0, 4.0]), sigma=4 * np.eye(2), source="stats.npz")


@pytest.mark.parametrize(("n", "suffix"), [(2000, "_n2000"), (49_999, "_n49999"), (50_000, "")])
def test_small_samples_carry_n_in_every_key(n, suffix):
    report = build_report(gaussian_samples(n), reference(), inception(), {})
    names = ("fid", "inception_score", "inception_score_std")
    assert report["metrics"].keys() == {f"{name}{suffix}" for name in names}
    assert report["metrics"][metric_key("fid", n)] == pytest.approx(25.0 + 2 * (2 - 1) ** 2)
    assert bool(report["warning"]) == bool(suffix)
    assert report["n"] == n


@pytest.fixture(scope="module")
def digits_report():
    images, _ = load_digits()
    extractor = get_extractor("digits")
    samples, held = collect(extractor, [images[:900]]), collect(extractor, [images[900:]])
    stats = from_collected(held, extractor, dataset="digits", split="train", image_rule="round")
    fields = {"nfe": 50, "seed": 8, "ema_rate": 0.9999, "versions": {"jax": "x"}, "rounding": "round"}
    return build_report(samples, stats, extractor, fields, with_precision_recall=True), samples, stats


def test_digits_report(digits_report):
    report, samples, stats = digits_report
    metrics = report["metrics"]
    expected = frechet_distance(*samples.gaussian[1:], stats.mu, stats.sigma)
    assert metrics["frechet_n900"] == pytest.approx(expected, rel=1e-12)
    assert 9 < metrics["classifier_score_n900"] <= 10  # ten classes, equally common, recognised
    assert metrics["precision_n900"] > 0.7
    assert metrics["recall_n900"] > 0.7
    assert not any("fid" in name or "inception" in name for name in metrics)
    assert (report["nfe"], report["versions"]) == (50, {"jax": "x"})
    assert report["reference"]["extractor"] == "verified"


def test_distances_tell_digits_from_negatives(digits_report):
    """Real digits are nearer to real digits than photographic negatives are, by more than ten times."""
    report, _, stats = digits_report
    extractor = get_extractor("digits")
    negatives = collect(extractor, [255 - load_digits()[0][:900]])
    worse = build_report(negatives, stats, extractor, {})["metrics"]
    for key in ("frechet_n900", "kid_n900"):
        assert worse[key] > 10 * abs(report["metrics"][key])


def test_summary_is_one_line_with_the_essentials(digits_report):
    line = summary(digits_report[0])
    assert "\n" not in line
    essentials = (
        "frechet_n900=",
        "nfe=50 seed=8 ema_rate=0.9999",
        "n=900 by digits (8x8 grey (RGB by ITU-R 601 luma); x / 127.5 - 1)",
        "against digits train (n=897, round, verified)",
        "n=900 < 50000: not comparable with numbers in papers",
    )
    assert [part for part in essentials if part not in line] == []
    line = summary(build_report(gaussian_samples(50_000), reference(), inception(), {}))
    assert "n=50000 by inception (resize) | against stats.npz (n=unknown, unverified)" in line
    report = digits_report[0]
    line = summary(report | {"reference": report["reference"] | {"source": "mine.npz"}})
    assert "against digits train from mine.npz (n=897, round, verified)" in line


def test_report_json_round_trip(digits_report, tmp_path):
    path = tmp_path / "results" / "report.json"
    write_report(digits_report[0], path)
    assert json.loads(path.read_text()) == digits_report[0]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report({"metrics": {"fid": float("nan")}}, path)
    assert json.loads(path.read_text()) == digits_report[0]


def test_refusals(digits_report):
    _, samples, stats = digits_report
    with pytest.raises(ValueError, match="made by 'digits'"):
        build_report(samples, stats, inception(), {})
    with pytest.raises(ValueError, match="report fields n, warning are computed here"):
        build_report(gaussian_samples(10), reference(), inception(), {"warning": "", "n": 50_000})
    with pytest.raises(ValueError, match="need reference features"):
        build_report(gaussian_samples(10), reference(), inception(), {}, with_precision_recall=True)
