"""Scores of a folder of real images, whose classes are known."""

import json

import numpy as np

from configs.iddpm.digits import get_config
from data import get_dataset
from modes import fid
from modes.experiment import Experiment


def test_agreement_is_the_share_of_images_that_are_of_the_class_asked_for(tmp_path):
    """Held-out digits, class after class in turn, of which every fourth was put where another class is asked for."""
    config = get_config()
    images, labels = get_dataset(config, "test").arrays()
    by_class = [images[labels == label][:20] for label in range(10)]
    in_turn = np.stack(by_class, axis=1).reshape(-1, *images.shape[1:])
    np.savez(tmp_path / "samples_00000.npz", samples=in_turn)
    config.eval.held_out = False
    fid.run(Experiment(config, result_folder=str(tmp_path)))
    right = json.loads((tmp_path / "report.json").read_text())["label_agreement"]
    assert right > 0.9  # the classifier's share of correct answers on held-out digits
    moved = in_turn.copy()
    moved[::4] = np.roll(in_turn, -1, axis=0)[::4]
    np.savez(tmp_path / "samples_00000.npz", samples=moved)
    fid.run(Experiment(config, result_folder=str(tmp_path)))
    wrong = json.loads((tmp_path / "report.json").read_text())["label_agreement"]
    assert abs(wrong - 0.75 * right) < 0.05
