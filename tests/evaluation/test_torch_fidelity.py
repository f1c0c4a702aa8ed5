"""Features, logits, FID, KID and IS against torch-fidelity itself, on the same weights and images.

Opt-in: pip install ".[parity]". The weights are random, with the published names and shapes.
"""

import numpy as np
import pytest

from evaluation import inception
from evaluation.collect import collect
from evaluation.features import Extractor
from evaluation.frechet import frechet_distance
from evaluation.inception_score import inception_score
from evaluation.kid import kid

torch = pytest.importorskip("torch", reason='pip install ".[parity]"')
pytest.importorskip("torch_fidelity", reason='pip install ".[parity]"')

from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: E402
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric  # noqa: E402
from torch_fidelity.metric_isc import isc_features_to_metric  # noqa: E402
from torch_fidelity.metric_kid import kid_features_to_metric  # noqa: E402

TAPS = ("2048", "logits_unbiased")
N, SUBSET = 48, 24
FC_GAIN = 9  # logits far enough apart that classes differ from image to image


def images(seed):
    """uint8 (N, 24, 32, 3): coarse colours and fine noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (N, 3, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse + rng.integers(-10 * seed, 10 * seed + 1, coarse.shape), 0, 255).astype(np.uint8)


def random_weights(network):
    """A state dict whose activations neither vanish nor explode, so that differences show."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("conv.weight"):
            noise *= (2.5 / value[0].numel()) ** 0.5
        elif name == "fc.weight":
            noise *= (FC_GAIN / value.shape[1]) ** 0.5
        elif name.endswith("running_var"):
            noise = 1 + 0.1 * noise.abs()
        elif name.endswith("bn.weight"):
            noise = 1 + 0.1 * noise
        else:
            noise *= 0.1
        state[name] = noise.to(value.dtype)
    return state


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """(torch-fidelity's network, the same weights as NumPy arrays)."""
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        # The published file is neither there nor wanted: the first instance only tells names and shapes.
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.save({}, path)
        blank = FeatureExtractorInceptionV3("blank", list(TAPS), feature_extractor_weights_path=path)
    torch.save(random_weights(blank), path)
    network = FeatureExtractorInceptionV3("random", list(TAPS), feature_extractor_weights_path=path)
    return network, {name: value.numpy() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def theirs(state):
    """Two sets -> ({tap: (N, D) tensor}, {tap: (N, D) tensor})."""

    def run(batch):
        outputs = zip(*(state[0](part) for part in batch.split(16)), strict=True)
        return {tap: torch.cat(parts) for tap, parts in zip(TAPS, outputs, strict=True)}

    with torch.no_grad():
        return [run(torch.from_numpy(images(seed)).permute(0, 3, 1, 2)) for seed in (1, 5)]


@pytest.fixture(scope="module")
def ours(state):
    """Two sets -> (Collected, Collected), through the code that --mode=fid runs."""
    params = inception.parameters({name: value for name, value in state[1].items() if "num_batches" not in name})

    def compute(batch):
        taps = inception.activations(params, batch, TAPS, batch_size=16)
        return {"features": taps["2048"], "logits": taps["logits_unbiased"]}

    extractor = Extractor(name="inception", hash="", preprocessing=inception.PREPROCESSING, compute=compute)
    return [collect(extractor, [images(seed)]) for seed in (1, 5)]


def test_features_and_logits(ours, theirs, record_property):
    for found, expected in zip(ours, theirs, strict=True):
        for tap, array in (("2048", found.features), ("logits_unbiased", found.logits)):
            wanted = expected[tap].numpy()
            error = np.abs(array - wanted).max() / np.abs(wanted).max()
            record_property(tap, float(error))
            assert error < 5e-5  # float32 through 48 layers, summed in another order


def test_frechet_distance(ours, theirs, record_property):
    statistics = [fid_features_to_statistics(part["2048"]) for part in theirs]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    found = frechet_distance(*ours[0].gaussian[1:], *ours[1].gaussian[1:])
    record_property("fid", (found, expected))
    assert found == pytest.approx(expected, rel=1e-3)


def test_kernel_distance(ours, theirs, record_property):
    options = {"kid_subset_size": SUBSET, "kid_subsets": 20, "rng_seed": 2020, "verbose": False}
    expected = kid_features_to_metric(theirs[0]["2048"], theirs[1]["2048"], **options)
    found = kid(ours[0].features, ours[1].features, subsets=20, subset_size=SUBSET)
    wanted = (expected["kernel_inception_distance_mean"], expected["kernel_inception_distance_std"])
    record_property("kid", (found[:2], wanted))
    np.testing.assert_allclose(found[:2], wanted, rtol=1e-3)


def test_inception_score(ours, theirs, record_property):
    expected = isc_features_to_metric(theirs[0]["logits_unbiased"], splits=4)
    found = inception_score(ours[0].logits, splits=4)
    wanted = (expected["inception_score_mean"], expected["inception_score_std"])
    record_property("score", (found, wanted))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
