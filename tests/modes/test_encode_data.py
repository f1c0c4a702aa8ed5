"""Latent diffusion with a tiny autoencoder of digits: encoded, trained on, sampled, decoded; and what is refused."""

import hashlib
import json

import numpy as np
import pytest

from data import get_dataset, get_latents
from data.source import Drawn
from devices import processes
from engine.experiment import Experiment
from evaluation.psnr import psnr
from linnet import interop
from linnet.config_keys import resolve
from modes import (
    check,
    colorize,
    edit,
    encode,
    encode_data,
    eval,
    inpaint,
    interpolate,
    ood,
    sample,
    super_resolution,
    train,
)
from tests.models.tiny_autoencoder import SHAPE
from tests.models.tiny_autoencoder import train as train_autoencoder
from tests.modes.exact import digits_config, exact_experiment

NAME = "tests.models.tiny_autoencoder:Linear"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the parameters of the autoencoder and latents.npz, written by the mode."""
    folder = tmp_path_factory.mktemp("latents")
    np.savez(folder / "params.npz", **train_autoencoder(get_dataset(digits_config()).arrays()[0]))
    encode_data.run(Experiment(latent_config(folder)))
    return folder


def latent_config(folder, process="vp", **groups):
    """Digits as latents, with a network for images of 2 x 3."""
    config = digits_config(process, **groups)
    config.data.update(latents=str(folder / "latents.npz"), autoencoder=NAME)
    config.data.autoencoder_params = str(folder / "params.npz")
    return config


def decoded(folder, x):
    """Pictures uint8 of latents of the process, by NumPy."""
    with np.load(folder / "latents.npz") as latents, np.load(folder / "params.npz") as params:
        z = (np.asarray(x, float) / latents["scale"] + latents["shift"]).reshape(-1, 24)
        pictures = z @ params["basis"].T.astype(float) + params["mean"]
    return np.rint(np.clip((pictures + 1) * 127.5, 0, 255)).reshape(-1, 8, 8, 1)


def drawn(source, n):
    """The n examples of the source that modes draw by the seed of the config."""
    return Drawn(source, n, digits_config().seed).arrays()[0]


def one_level(a, b):
    """uint8 pictures agree but for what float32 rounds to the next level."""
    assert np.abs(np.asarray(a, int) - np.asarray(b, int)).max() <= 1


def test_latents_are_those_of_the_autoencoder_with_mean_0_and_deviation_1(files):
    config = latent_config(files)
    with np.load(files / "params.npz") as params, np.load(files / "latents.npz") as latents:
        for split, n in (("train", 1500), ("test", 297)):
            images, labels = get_dataset(config, split).arrays()
            wanted = (images.reshape(n, 64) / 127.5 - 1 - params["mean"]) @ params["basis"]
            np.testing.assert_allclose(latents[f"{split}_latents"].reshape(n, 24), wanted, atol=1e-5)  # float32
            np.testing.assert_array_equal(latents[f"{split}_labels"], labels)
    source = get_latents(config)
    x, labels = source.arrays()
    assert (source.shape, source.num_classes, x.dtype) == (SHAPE, 10, np.float32)
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-5)  # of float32 numbers, by their own scale
    images = get_dataset(config).arrays()[0]
    assert psnr(decoded(files, x).astype(np.uint8), images).mean() > 20  # 24 of 64 components hold 94 % of the variance


def test_two_processes_make_the_file_of_one(files, tmp_path, monkeypatch):
    """The second encodes its batches of 24 and of 5; then the first does, which is told what the other found."""
    told = []

    def tell(found):
        told.append(found)
        return [found]

    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "check_same", lambda *values: None)
    config = latent_config(files)
    config.data.latents = str(tmp_path / "latents.npz")
    for process, gather in ((1, tell), (0, lambda found: [found, told.pop(0)])):
        monkeypatch.setattr(processes, "index", lambda process=process: process)
        monkeypatch.setattr(processes, "gather", gather)
        encode_data.run(Experiment(config))
        assert [len(found["index"]) for found in told] == ([732, 128] if process else [])
    with np.load(files / "latents.npz") as wanted, np.load(tmp_path / "latents.npz") as found:
        assert wanted.files == found.files
        for name in wanted.files:
            np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def gaussian(condition):
    """The latents of the process have mean 0 and deviation 1."""
    return np.zeros(())


def exact(files, folder, process="vp", **groups):
    """An experiment whose network is exact for latents of the process with mean 0 and deviation 1."""
    return exact_experiment(latent_config(files, process, **groups), folder, mean=gaussian, spread=1.0)


@pytest.mark.parametrize("process", ["vp", "cld"])
def test_samples_are_decoded_latents(process, files, tmp_path):
    """The latents that the sampler draws by itself, decoded by NumPy."""
    experiment = exact(files, tmp_path, process, sampling={"nfe": 5}, eval={"png": True})
    fields = sample.run(experiment)
    x = experiment.sde.project(experiment.sample_with()({}, np.arange(8), {}).u)
    with np.load(tmp_path / "samples_00000.npz") as found:
        one_level(found["samples"], decoded(files, x))
    assert (tmp_path / "samples_8x8x8x1.npz").exists() and (tmp_path / "png/000007.png").exists()
    record = json.loads((tmp_path / "sampling.json").read_text())
    with np.load(files / "latents.npz") as latents:
        assert record["autoencoder"] == {
            "parameters": str(latents["autoencoder"]),
            "scale": pytest.approx(float(latents["scale"])),
            "shift": pytest.approx(float(latents["shift"])),
        }
    assert record["latents"] == hashlib.sha256((files / "latents.npz").read_bytes()).hexdigest()
    assert fields["shape"] == list(SHAPE)


def test_pictures_are_compared_with_pictures(files, tmp_path):
    """--mode=check: the reference is of the images of the data set, not of latents."""
    experiment = exact(files, tmp_path, sampling={"nfe": 5}, eval={"extractor": "pixels", "num_samples": 64})
    check.run(experiment)
    report = json.loads((tmp_path / "report.json").read_text())
    (reference,) = tmp_path.glob("stats_digits_train_pixels_*.npz")
    assert str(np.load(reference)["fingerprint"]) == get_dataset(experiment.config).fingerprint()
    assert report["autoencoder"]["parameters"] and report["n"] == 64


def test_the_flow_of_standard_latents_leaves_them_where_they_are(files, tmp_path, monkeypatch):
    """Under VP N(0, 1) stays N(0, 1): each latent of a picture is its own end, and both ends of a row are pictures."""
    config = {"eval": {"num_images": 16, "flow_tolerance": 1e-5}}
    encode.run(exact(files, tmp_path, **config))
    recorded = json.loads((tmp_path / "encode.json").read_text())["latents"]
    assert recorded == hashlib.sha256((files / "latents.npz").read_bytes()).hexdigest()
    x = drawn(get_latents(latent_config(files), "test"), 16)
    with np.load(tmp_path / "latents.npz") as found:
        np.testing.assert_array_equal(found["images"], x)
        np.testing.assert_allclose(found["u_T"], x, atol=1e-3)  # a hundred steps of the tolerance
    shown = {}
    monkeypatch.setattr(interpolate, "save_picture", lambda images, path, **_: shown.update(images=images))
    interpolate.run(exact(files, tmp_path, **config))
    rows = np.asarray(shown["images"], int).reshape(-1, interpolate.STEPS, 8, 8, 1)
    one_level(rows[:, 0], decoded(files, x[: interpolate.PAIRS]))
    one_level(rows[:, -1], decoded(files, x[interpolate.PAIRS :]))


def test_the_density_of_latents_is_that_of_the_gaussian(files, tmp_path):
    """In bits per dimension, without grey levels: -log2 N(x; 0, 1) in the mean."""
    eval.run(exact(files, tmp_path, eval={"num_images": 16, "bpd_estimator": "exact"}))
    report = json.loads((tmp_path / "eval.json").read_text())
    x = drawn(get_latents(latent_config(files), "test"), 16).astype(float)
    wanted = (0.5 * np.log(2 * np.pi) + 0.5 * np.square(x).mean()) / np.log(2)
    assert report["bits_per_dim"] == pytest.approx(wanted, abs=1e-3)  # the tolerance of the flow
    assert report["quantity"] == "log density of latents" and report["offset"] == 0 and report["warning"] == ""


def trained_config(files):
    """A network of one level, which begins at 0, for two steps."""
    config = latent_config(files, model={"num_channels": 32, "channel_mult": (1,), "num_res_blocks": 1})
    config.model.update(attention_resolutions=(), num_classes=-1)
    config.training.update(batch_size=64, n_iters=2, log_freq=1, eval_freq=2, snapshot_freq=2)
    config.training.update(snapshot_sampling_batch=8, snapshot_freq_for_preemption=0)
    config.sampling.nfe = 2
    return config


def test_a_process_is_trained_on_latents_and_draws_pictures(files, tmp_path):
    """With classes, a held-out loss and a grid of pictures; the first loss of a network of zeros is E eps^2 = 1."""
    experiment = Experiment(trained_config(files), workdir=str(tmp_path))
    train.run(experiment)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[0] == pytest.approx(1, abs=5 * np.sqrt(2 / (64 * 24)))  # five standard errors of a mean of squares
    assert any("eval_loss" in line for line in lines)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["data"]["image_size"], stored["data"]["num_channels"]) == ([8, 8], 1)
    assert (tmp_path / "samples/step_00000002_ema.png").exists()
    again = Experiment(resolve(stored), workdir=str(tmp_path))
    sample.run(again)
    (made,) = (tmp_path / "check").rglob("samples_00000.npz")
    x = again.sde.project(again.sample_with()(again.trained.params, np.arange(8), again.conditions(np.arange(8))).u)
    one_level(np.load(made)["samples"], decoded(files, x))


def other(files, folder, **changes):
    """latents.npz with other arrays, in `folder`, and a config for it."""
    with np.load(files / "latents.npz") as latents:
        np.savez(
            folder / "latents.npz",
            **{key: value for key, value in (dict(latents) | changes).items() if value is not None},
        )
    config = latent_config(files)
    config.data.latents = str(folder / "latents.npz")
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_latents": np.zeros((5, 24))},
            r"train_latents is float64 \(5, 24\); expected floating",
        ),
        ({"train_latents": np.zeros((5, 4, 4, 4)), "autoencoder": None}, r"cannot decode arrays of \(4, 4, 4\)"),
        ({"scale": None}, "has no scale"),
        ({"scale": np.zeros(3)}, r"scale is \(3,\); expected one finite number, or one for each of 4"),
        ({"scale": 0.0}, "scale is 0"),
        ({"autoencoder": "0" * 64}, "are of another autoencoder"),
        ({"train_latents": np.full((5, *SHAPE), np.nan)}, "not all are finite"),
        ({"train_labels": np.zeros(3, int)}, "1500 train_latents and 3 labels"),
    ],
)
def test_a_file_of_other_latents_is_refused(changes, message, files, tmp_path):
    with pytest.raises(ValueError, match=message):
        experiment = Experiment(other(files, tmp_path, **changes))
        assert experiment.decoder and experiment.examples()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"autoencoder": ""}, "autoencoder is missing"),
        ({"autoencoder": "tests.models.tiny_autoencoder:Nothing"}, "cannot be imported"),
        ({"autoencoder": "tests.models.tiny_autoencoder:Headless"}, "has no method encode"),
        ({"autoencoder_params": ""}, "needs its parameters|needs config.data.autoencoder_params"),
        ({"autoencoder": "nowhere", "autoencoder_params": ""}, "nowhere: no folder of an AutoencoderKL"),
        ({"random_flip": True}, "data.random_flip=True means nothing to config.data.latents"),
        ({"latents": ""}, "autoencoder means nothing without config.data.latents"),
        ({"latents": "nowhere.npz"}, "'nowhere.npz' does not exist: --mode=encode_data"),
    ],
)
def test_a_missing_or_other_decoder_is_named_before_the_work(keys, message, files):
    config = latent_config(files)
    config.data.update(keys)
    with pytest.raises((ValueError, ImportError, OSError), match=message):
        sample.run(Experiment(config, workdir="nowhere"))


def test_a_network_of_pictures_is_not_given_latents(files, monkeypatch):
    """The key to leave out is named; a file that fits neither keeps its own message."""

    def fits(shapes):
        def load(path, config, params, shape):
            if tuple(shape) not in shapes:
                raise ValueError("does not fit")
            return {}, "ema", None

        return load

    monkeypatch.setattr(interop, "load_newest", fits([(8, 8, 1)]))
    with pytest.raises(ValueError, match=r"is a network of pictures \(8, 8, 1\).*: leave out config.data.latents"):
        _ = Experiment(latent_config(files), ckpt="file").trained
    monkeypatch.setattr(interop, "load_newest", fits([]))
    with pytest.raises(ValueError, match="^does not fit$"):
        _ = Experiment(latent_config(files), ckpt="file").trained


def test_pictures_and_their_latents_are_edited_alike(files, tmp_path):
    """The test images as pictures, and as the latents in the file: the same rows, the same noise, decoded by NumPy."""
    pictures = drawn(get_dataset(digits_config(), "test"), 8)
    np.savez(tmp_path / "pictures.npz", images=pictures)
    found = []
    for name, images in (("latents", ""), ("pictures", str(tmp_path / "pictures.npz"))):
        (tmp_path / name).mkdir()
        settings = {"strength": (0.3,), "images": images}
        edit.run(exact(files, tmp_path / name, edit=settings, sampling={"method": "gddim", "nfe": 5}))
        with np.load(tmp_path / name / "edited.npz") as arrays:
            found.append(dict(arrays))
    x = drawn(get_latents(latent_config(files), "test"), 8)
    for arrays in found:
        one_level(arrays["images"], decoded(files, x))
        one_level(arrays["0.3"], found[0]["0.3"])
    others = np.roll(found[0]["0.3"], 1, axis=0)
    assert psnr(found[0]["0.3"], pictures).mean() > psnr(others, pictures).mean() + 2  # each is near its own original
    report = json.loads((tmp_path / "pictures/edit.json").read_text())
    assert report["latents"] == hashlib.sha256((files / "latents.npz").read_bytes()).hexdigest()


def test_nothing_is_overwritten_and_pixels_are_asked_of_networks_of_pixels(files, tmp_path):
    before = (files / "latents.npz").read_bytes()
    with pytest.raises(ValueError, match="exists: delete it"):
        encode_data.run(Experiment(latent_config(files)))
    assert (files / "latents.npz").read_bytes() == before
    for mode in (inpaint, colorize, super_resolution, ood):
        with pytest.raises(ValueError, match="about pixels, and the network makes latents"):
            mode.run(exact(files, tmp_path))
