"""Scores of a folder of real images, whose classes are known."""

import numpy as np
import pytest

from configs.iddpm.digits import get_config
from data import get_dataset
from evaluation.features import get_extractor
from modes import check, fid
from modes.experiment import Experiment


def test_agreement_is_the_share_of_images_that_are_of_the_class_asked_for():
    """Held-out digits, class after class in turn, of which every fourth was put where another class is asked for."""
    config = get_config()
    images, labels = get_dataset(config, "test").arrays()
    by_class = [images[labels == label][:20] for label in range(10)]
    in_turn = np.stack(by_class, axis=1).reshape(-1, *images.shape[1:])
    experiment, extractor = Experiment(config), get_extractor("digits")
    right = fid.label_agreement(experiment, extractor, [in_turn])["label_agreement"]
    assert right > 0.9  # the classifier's share of correct answers on held-out digits
    moved = in_turn.copy()
    moved[::4] = np.roll(in_turn, -1, axis=0)[::4]
    wrong = fid.label_agreement(experiment, extractor, [moved[:50], moved[50:]])["label_agreement"]
    assert abs(wrong - 0.75 * right) < 0.05


def test_statistics_that_are_not_there_are_said_before_sampling(tmp_path):
    config = get_config()
    config.eval.stats = str(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError, match="no statistics at"):
        check.run(Experiment(config, workdir=str(tmp_path)))


def test_only_the_samples_that_were_asked_for_are_scored():
    batches = [np.arange(4), np.arange(4, 8), np.arange(8, 12)]
    assert np.concatenate(list(fid.first(iter(batches), 6))).tolist() == list(range(6))
    assert np.concatenate(list(fid.first(iter(batches), 8))).tolist() == list(range(8))
