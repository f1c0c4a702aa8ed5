"""Experiments whose network is exact for Gaussian data, so that what the modes report is known in closed form."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from configs.default import get_config
from data import get_dataset
from data.source import Drawn
from engine.experiment import Experiment
from engine.trained import Trained
from models.eps_net import EpsNet
from sde_lib import get_sde
from sde_lib.exact import gaussian_eps

CLASS_MEANS = np.linspace(-0.8, 0.8, 10, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Exact(EpsNet):
    """The network of data N(m, variance I), m what `mean` makes of the conditions, to broadcast with images."""

    mean: Callable = None
    spread: float = 0.1

    def output(self, params, u, t, keys=None, condition=None):
        x = self.sde.project(u)
        m = self.sde.mean(self.sde.lift(jnp.broadcast_to(self.mean(condition or {}), x.shape)), t)
        return gaussian_eps(self.sde, np.zeros(x.shape[1:], np.float32), self.spread)(u - m, t)


def by_class(condition):
    """One grey for each class; the mean of class 0 where no class is told."""
    return jnp.asarray(CLASS_MEANS)[condition.get("label", jnp.zeros(1, int))][:, None, None, None]


def by_low_res(condition):
    """The low-resolution image with its pixels enlarged to 8 x 8."""
    low_res = condition["low_res"]
    block = 8 // low_res.shape[1]
    return low_res.repeat(block, axis=1).repeat(block, axis=2)


def digits_config(process="vp", **groups):
    """Digits; groups are updates of config groups."""
    config = get_config(process, "unet" if process == "vp" else "ncsnpp")
    config.data.update(dataset="digits", image_size=8, num_channels=1, random_flip=False)
    config.eval.update(batch_size=8, num_samples=8, num_images=8)
    for group, changes in groups.items():
        config[group].update(changes)
    return config


def exact_experiment(config, folder, mean=by_class, spread=0.1):
    """An Experiment on `config` with the exact network in place of a trained one."""
    experiment = Experiment(config, result_folder=str(folder))
    experiment.trained = Trained({}, "ema", "exact")
    experiment.eps_net = Exact(
        None, get_sde(experiment.trained_config), variance=config.model.variance, mean=mean, spread=spread
    )
    return experiment


def held_out_images(config, n):
    """(the first n test images in [-1, 1] (n, H, W, C) float64, their labels (n,))."""
    return in_range(get_dataset(config, "test"), n)


def drawn_images(config, n):
    """The same of n test images that are drawn by the seed."""
    return in_range(Drawn(get_dataset(config, "test"), n, config.seed), n)


def in_range(source, n):
    examples = [source[i] for i in range(n)]
    images = np.stack([example["image"] for example in examples])
    return images / 127.5 - 1, np.array([example["label"] for example in examples])
