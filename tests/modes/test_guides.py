"""Classifiers from training to samples: what they learn, what they guide, what is recorded, what is refused."""

import json

import numpy as np
import pytest

from configs.default import get_config
from devices import parallel
from engine.experiment import Experiment
from engine.generate import Generator
from modes import export, train
from tests.modes.exact import digits_config, exact_experiment

N_ITERS = 80


def classifier_config(process="vp", n_iters=N_ITERS, **data):
    config = get_config(process, "encoder")
    config.data.update(dataset="digits", image_size=8, num_channels=1, random_flip=False, **data)
    config.model.update(num_channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(), num_heads=1)
    config.model.ema_rate = 0.9
    config.training.update(
        objective="classifier", batch_size=64, n_iters=n_iters, log_freq=N_ITERS // 2, eval_freq=N_ITERS
    )
    config.optim.update(lr=3e-3, warmup=10)
    return config


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The workdir of a classifier that was trained in two halves."""
    workdir = str(tmp_path_factory.mktemp("classifier"))
    for n_iters in (N_ITERS // 2, N_ITERS):
        train.run(Experiment(classifier_config(n_iters=n_iters), workdir))
    return workdir


def logged(workdir):
    with open(f"{workdir}/metrics.jsonl") as file:
        return [json.loads(line) for line in file]


def test_it_beats_chance_and_knows_less_under_noise(classifier):
    """Ten classes: chance is 0.1, and five of its standard deviations over the 640 images of a quarter are 0.06.

    At t near T nothing is left of the image.
    """
    last = [line for line in logged(classifier) if "accuracy_q0" in line][-1]
    assert last["accuracy_q0"] > 0.16 and last["accuracy_q3"] < last["accuracy_q0"]
    assert np.isclose(last["accuracy"], np.mean([last[f"accuracy_q{i}"] for i in range(4)]), atol=1e-2)  # even times
    evaluated = [line for line in logged(classifier) if "eval_accuracy" in line][-1]
    assert evaluated["eval_loss"] < np.log(10) and 0 <= evaluated["eval_accuracy"] <= 1


def test_it_went_on_where_it_had_stopped(classifier, tmp_path):
    """Bit by bit as the run that was not stopped."""
    train.run(Experiment(classifier_config(), str(tmp_path)))
    whole, halves = (Experiment(classifier_config(), workdir).trained for workdir in (str(tmp_path), classifier))
    assert whole.hash == halves.hash


def drawn(folder, **sampling):
    """(mean grey of each of 8 images, the experiment), by the exact network of grey images."""
    experiment = exact_experiment(digits_config(sampling={"nfe": 6, **sampling}), folder)
    images = Generator(experiment.recipe, 8).batch(parallel.replicate(experiment.weights), 0)
    return images.reshape(8, -1).mean(1) / 127.5 - 1, experiment


def test_an_unconditional_network_draws_the_classes_that_it_is_told(classifier, tmp_path):
    """The network of one class alone is moved, and by its own scale; scale 0 moves nothing."""
    told = {"classifier": classifier, "labels": "3,7"}
    free, without = drawn(tmp_path)
    guided, experiment = drawn(tmp_path, **told, classifier_scale=5.0)
    unmoved, _ = drawn(tmp_path, **told, classifier_scale=0.0)
    assert experiment.conditions.names_of(np.arange(2)) == ["3", "7"] and not without.conditions(np.arange(2))
    np.testing.assert_allclose(unmoved, free, atol=1 / 127.5)
    assert np.abs(guided - free).max() > 2 / 127.5
    outside, _ = drawn(tmp_path, **told, classifier_scale=5.0, guidance_interval=(1e4, 2e4))
    np.testing.assert_allclose(outside, free, atol=1 / 127.5)


def test_the_record_knows_guides_by_content(classifier, tmp_path):
    """The same parameters elsewhere are the same; the path does not count."""
    experiment = Experiment(classifier_config(), classifier)
    experiment.paths.result_folder = str(tmp_path / "export")
    export.run(experiment)
    fields = [
        exact_experiment(digits_config(sampling={"classifier": path, "classifier_scale": 2.0}), tmp_path).made_by()
        for path in (classifier, str(tmp_path / "export"))
    ]
    assert fields[0] == fields[1] and not {"classifier", "classifier_scale"} & fields[0]["sampling"].keys()
    assert fields[0]["guides"] == {"classifier": {"parameters": experiment.trained.hash, "scale": 2.0}}
    assert "guides" not in exact_experiment(digits_config(), tmp_path).made_by()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"sampling": {"classifier_scale": 2.0}}, "classifier_scale means nothing without config.sampling.classifier"),
        ({"sampling": {"guide": "HERE"}}, "config.sampling.guide needs config.sampling.guide_scale"),
        ({"sampling": {"guide": "HERE", "guide_scale": 2.0}}, "guide='.*' is of config.model.prediction='class'"),
        ({"sampling": {"guidance_interval": (0.1, 2.0)}}, "guidance_interval means nothing without"),
        (
            {"sampling": {"classifier": "HERE", "guidance_interval": (2.0, 0.1)}},
            "two noise levels, the lower",
        ),
        ({"sampling": {"classifier": "HERE"}, "sde": {"beta_max": 10.0}}, "its config.sde.beta_max is 20.0, .* 10.0"),
        (
            {"sampling": {"classifier": "HERE"}, "data": {"image_size": 16}},
            r"shape \(8, 8, 1\), and .*\(16, 16, 1\)",
        ),
        ({"sampling": {"classifier": "HERE"}, "data": {"centered": False}}, "data.centered=True, unlike the network"),
        ({"sampling": {"classifier": "HERE"}, "model": {"num_classes": 3}}, "knows 0, .*, and images are drawn of 3"),
        ({"sampling": {"classifier": "HERE/absent"}}, "no checkpoint at"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(groups, message, classifier, tmp_path):
    groups = json.loads(json.dumps(groups).replace("HERE", classifier))
    experiment = exact_experiment(digits_config(**groups), tmp_path)
    with pytest.raises((ValueError, OSError), match=message) as caught:
        Generator(experiment.recipe, 8)
    assert "\n" not in str(caught.value)


def test_a_network_of_another_process_or_kind_is_no_classifier(classifier, tmp_path):
    experiment = exact_experiment(digits_config("cld", sampling={"classifier": classifier}), tmp_path)
    with pytest.raises(ValueError, match="its config.sde.name is 'vp', that of the network 'cld'"):
        Generator(experiment.recipe, 8)
    with pytest.raises(ValueError, match="a classifier .* draws nothing|gives no eps, so that nothing is drawn"):
        Generator(Experiment(classifier_config(), classifier).recipe, 8)
    config = classifier_config()
    config.training.objective = "dsm"
    with pytest.raises(ValueError, match="is a classifier: set config.training.objective=classifier"):
        Experiment(config).objective  # noqa: B018
    config = digits_config(training={"objective": "classifier"})
    with pytest.raises(ValueError, match="is for a classifier: set config.model.name=encoder"):
        Experiment(config).objective  # noqa: B018
