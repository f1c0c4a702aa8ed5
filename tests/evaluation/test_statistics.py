"""Statistics files: our round trip, the layouts of other projects, and refusals."""

import numpy as np
import pytest

from evaluation.collect import collect
from evaluation.features import Extractor, get_extractor
from evaluation.statistics import (
    Statistics,
    check_compatible,
    from_collected,
    load_statistics,
    save_statistics,
)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (50, 2, 2, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def pixels():
    return get_extractor("pixels")


@pytest.fixture(scope="module")
def ours(images, pixels):
    collected = collect(pixels, [images])
    return from_collected(collected, pixels, dataset="noise", split="train", image_rule="round")


def fake_inception(**changes):
    fields = {"name": "inception", "hash": "a" * 64, "preprocessing": "resize", "compute": None}
    return Extractor(**(fields | changes))


def test_round_trip(tmp_path, ours, images, pixels):
    path = tmp_path / "deep" / "stats.npz"
    save_statistics(path, ours)
    loaded = load_statistics(path)
    flat = images.reshape(50, 4) / 255.0
    np.testing.assert_allclose(loaded.mu, flat.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(loaded.sigma, np.cov(flat, rowvar=False), rtol=1e-5)
    np.testing.assert_allclose(loaded.features, flat, rtol=1e-6)
    assert (loaded.n, loaded.dataset, loaded.split, loaded.image_rule) == (50, "noise", "train", "round")
    assert loaded.source == "stats.npz"
    assert check_compatible(loaded, pixels) == "verified"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, ours, monkeypatch):
    path = tmp_path / "stats.npz"
    save_statistics(path, ours)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_statistics(path, ours)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pytorch_fid_golden(golden):
    loaded = load_statistics(golden.path("torch/pytorch_fid_style_stats_64_A.npz"))
    case = golden("torch/fid_sets_64.npz")
    np.testing.assert_allclose(loaded.mu, case["mu_64_A"], rtol=1e-12)
    np.testing.assert_allclose(loaded.sigma, case["sigma_64_A"], rtol=1e-12)
    assert loaded.n is None
    assert check_compatible(loaded, fake_inception()) == "unverified"


def test_score_sde_pool_3(tmp_path):
    features = np.random.default_rng(1).exponential(size=(40, 6)).astype(np.float32)
    np.savez_compressed(tmp_path / "cifar10_stats.npz", pool_3=features[:, None, None, :])
    loaded = load_statistics(tmp_path / "cifar10_stats.npz")
    np.testing.assert_allclose(loaded.mu, features.astype(np.float64).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(loaded.sigma, np.cov(features.astype(np.float64), rowvar=False), atol=1e-12)
    np.testing.assert_array_equal(loaded.features, features)
    assert loaded.n == 40
    assert check_compatible(loaded, fake_inception()) == "unverified"


def test_adm_reference_batch_with_and_without_moments(tmp_path, images, pixels):
    mu, sigma = np.arange(4.0), np.eye(4)
    np.savez(tmp_path / "full.npz", arr_0=images, mu=mu, sigma=sigma, mu_s=np.zeros(2), sigma_s=np.eye(2))
    full = load_statistics(tmp_path / "full.npz")
    np.testing.assert_array_equal(full.mu, mu)
    np.testing.assert_array_equal(full.sigma, sigma)
    np.savez(tmp_path / "bare.npz", images)
    with pytest.raises(ValueError, match="holds images, not statistics"):
        load_statistics(tmp_path / "bare.npz")
    bare = load_statistics(tmp_path / "bare.npz", pixels)
    np.testing.assert_allclose(bare.mu, images.reshape(50, 4).mean(axis=0) / 255, rtol=1e-6)
    assert check_compatible(bare, pixels) == "verified"


def test_incompatible_statistics_are_refused_in_one_line(ours):
    unknown = Statistics(mu=np.zeros(2), sigma=np.eye(2), source="fid_stats.npz")
    negative = Statistics(mu=np.array([0.3, -0.1]), sigma=np.eye(2), source="clip.npz")
    other_words = fake_inception(hash=ours.extractor_hash, preprocessing="PIL bicubic")
    cases = [
        (ours, fake_inception(), "made by 'pixels' .* not by 'inception' .*fid_stats"),
        (ours, other_words, "preprocessed as 'x / 255, flattened', now as 'PIL bicubic'"),
        (negative, fake_inception(), "clip.npz: mean -0.1 of a feature, .* made by another network"),
        (unknown, get_extractor("pixels"), "fid_stats.npz: does not say which network made it"),
    ]
    for statistics, extractor, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            check_compatible(statistics, extractor)
        assert "\n" not in str(caught.value)


def test_bad_files_are_explained(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="holds weights; statistics hold one of: .*pool_3; mu"):
        load_statistics(tmp_path / "other.npz")
    np.savez(tmp_path / "odd.npz", mu=np.zeros(3), sigma=np.zeros(3))
    with pytest.raises(ValueError, match=r"mu \(3,\) and sigma \(3,\)"):
        load_statistics(tmp_path / "odd.npz")
    np.savez(tmp_path / "new.npz", format_version=99, mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(ValueError, match="format version 99 is newer"):
        load_statistics(tmp_path / "new.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "odd.npz").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"cut\.npz: not a readable \.npz file"):
        load_statistics(tmp_path / "cut.npz")
    with pytest.raises(FileNotFoundError, match="--mode=fid_stats"):
        load_statistics(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="without n"):
        save_statistics(tmp_path / "x.npz", Statistics(mu=np.zeros(2), sigma=np.eye(2)))
