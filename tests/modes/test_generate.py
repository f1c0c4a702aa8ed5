"""Samples that are not finite are named and not written; seeds and guidance that mean something."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from devices import parallel
from engine.generate import Generator, NotFinite
from linnet.randomness import Purpose, key_for
from modes import sample, train
from tests.modes.exact import Exact, digits_config, exact_experiment

BROKEN = 3


@dataclasses.dataclass(frozen=True)
class Breaks(Exact):
    """The exact network, but for class BROKEN not a number at times below `until`."""

    until: float = 0.5

    def output(self, params, u, t, keys=None, condition=None):
        breaks = (condition["label"] == BROKEN) & (t < self.until)
        return jnp.where(breaks[:, None, None, None], jnp.nan, super().output(params, u, t, keys, condition))


def broken(folder, until, method="gddim", nfe=20):
    c = digits_config(
        model={"num_classes": 10}, sampling={"method": method, "nfe": nfe}, eval={"num_samples": 16, "batch_size": 16}
    )
    experiment = exact_experiment(c, folder)
    exact = {field.name: getattr(experiment.eps_net, field.name) for field in dataclasses.fields(Exact)}
    experiment.eps_net = Breaks(**exact, until=until)
    return experiment


@pytest.mark.parametrize("method", ["gddim", "em", "pc", "heun", "dpmpp_2m"])
def test_the_first_image_and_the_step_that_broke_it_are_named(method, tmp_path):
    experiment = broken(tmp_path, 0.5, method)
    times = experiment.sampler_with(trajectory=True)(
        experiment.eps_net.bind({}, {"label": jnp.zeros(1, int)}), jax.random.key(0), jnp.zeros((1, 8, 8, 1))
    ).trajectory["t"]
    step = int(np.argmax(np.asarray(times) < 0.5)) + (method != "pc")  # whose states are those after the corrector
    since = f"since step {step} of {len(times)}, from t={times[step - 1]:.4g} to t={times[step]:.4g}"
    with pytest.raises(NotFinite, match=rf"image {BROKEN} of seed 42 is not finite {since} \(2 of the 16 images"):
        sample.run(experiment)
    assert not list(tmp_path.glob("samples_*"))


def test_batches_before_the_broken_one_are_kept(tmp_path):
    experiment = broken(tmp_path, 0.5)
    experiment.config.eval.batch_size = 2
    with pytest.raises(NotFinite, match="1 of the 2 images"):
        sample.run(experiment)
    assert [path.name for path in tmp_path.glob("samples_*")] == ["samples_00000.npz"]


@pytest.mark.parametrize("fid", [0, 16])
def test_a_snapshot_goes_without_the_grid_and_the_distance(fid, tmp_path, capsys):
    """The training that asked for it goes on."""
    experiment = broken(tmp_path, 0.5)
    experiment.paths.workdir = str(tmp_path)
    experiment.config.training.update(snapshot_sampling_batch=16, snapshot_fid=fid)
    experiment.config.eval.extractor = "pixels"
    params = parallel.replicate({})
    assert train.make_snapshot(experiment, [])(SimpleNamespace(ema=[params], params=params), 10) == {}
    said = capsys.readouterr().out
    assert "step 10: no grid of ema samples: image 3 of seed 42 is not finite" in said
    assert not list((tmp_path / "samples").glob("*.png")) and ("no distance: image 3" in said) == bool(fid)


@pytest.mark.parametrize(("before", "drawn"), [(0, []), (1, [0]), (2, [0, 0]), (3, [0, 0, 0]), (4, [0, 0, 0, 8])])
def test_a_snapshot_stops_between_batches_where_it_is_asked_to(before, drawn, tmp_path, monkeypatch):
    """Two grids, then 24 images of a distance in batches of 8; `before` batches are drawn when the signal arrives."""
    experiment = broken(tmp_path, 0.0)
    experiment.paths.workdir = str(tmp_path)
    experiment.config.training.update(snapshot_sampling_batch=8, snapshot_fid=24)
    experiment.config.eval.extractor = "pixels"
    batch, found = Generator.batch, []
    monkeypatch.setattr(
        Generator, "batch", lambda generator, params, first: found.append(first) or batch(generator, params, first)
    )
    params = parallel.replicate({})
    shot = train.make_snapshot(experiment, [], lambda: len(found) >= before)
    assert shot(SimpleNamespace(ema=[params], params=params), 10) == {} and found == drawn


@pytest.mark.parametrize("guidance", [np.nan, np.inf, -np.inf])
def test_guidance_must_be_finite(guidance, tmp_path):
    experiment = broken(tmp_path, 0.0)
    experiment.config.sampling.guidance = guidance
    with pytest.raises(ValueError, match=r"config.sampling.guidance=-?(nan|inf) must be a finite number"):
        Generator(experiment.recipe, 8)


def test_small_seeds_are_those_of_jax_and_large_ones_are_all_different():
    def key(seed):
        return tuple(jax.random.key_data(key_for(seed, Purpose.SAMPLING)).tolist())

    small = [0, 42, 2**31 - 1, 2**31, 2**32 - 1]
    for seed in small:
        assert key(seed) == tuple(jax.random.key_data(jax.random.key(seed)).tolist())
    seeds = small + [2**32 + seed for seed in small] + [2**33 + 42, 2**63 + 42, 2**64 - 1]
    assert len({key(seed) for seed in seeds}) == len(seeds)
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=f"config.seed={seed} must lie in 0 to 2"):
            key_for(seed, Purpose.SAMPLING)


def test_images_of_large_seeds_are_their_own(tmp_path):
    """Images of two seeds are as far apart as independent draws with standard deviation sqrt(0.1) in [-1, 1]."""
    images = []
    for seed in (5, 2**32 + 5):
        experiment = broken(tmp_path, 0.0)
        experiment.config.seed = seed
        images.append(Generator(experiment.recipe, 8).batch(parallel.replicate({}), 0) / 127.5 - 1)
    gap = (images[0] - images[1]).std()
    assert gap == pytest.approx(np.sqrt(2 * 0.1), rel=0.15)  # 512 pixels: 3 %; the rest for clipping to [-1, 1]
