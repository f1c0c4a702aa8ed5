"""Image i of a seed is the same picture at batch sizes 1 and 8 on one device, and at 2 and 8 on two."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from devices import parallel
from engine.experiment import Experiment
from engine.generate import Generator
from tests.conftest import FAST_COMPILATION, ROOT
from tests.modes.exact import digits_config

N = 8


def images(method, batch_size):
    """N images (N, 8, 8, 1) uint8 of a small U-Net of classes whose parameters are all far from 0."""
    config = digits_config(sampling={"method": method, "nfe": 6}, sde={"schedule": "discrete"})
    config.model.update(num_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=(), num_classes=10)
    experiment = Experiment(config)
    init = jax.jit(lambda key: experiment.eps_net.init(key, experiment.shape))
    leaves, tree = jax.tree.flatten(init(jax.random.key(0)))
    noise = np.random.default_rng(0)
    leaves = [np.asarray(leaf) + 0.05 * noise.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    params, generator = parallel.replicate(tree.unflatten(leaves)), Generator(experiment.recipe, batch_size)
    return np.concatenate([generator.batch(params, first) for first in range(0, N, batch_size)])


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory):
    """{"<method> <batch size>": images} of a process that has one device."""
    path = tmp_path_factory.mktemp("devices") / "images.npz"
    code = (
        "import sys, numpy as np; from tests.modes.test_devices import images;"
        "names = [(m, b) for m in ('gddim', 'ddpm') for b in (1, 8)];"
        "np.savez(sys.argv[1], **{f'{m} {b}': images(m, b) for m, b in names})"
    )
    flags = f"--xla_force_host_platform_device_count=1 {FAST_COMPILATION}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("method", ["gddim", "ddpm"])
def test_images_depend_on_neither_batch_size_nor_devices(method, on_one_device):
    """float32 products of another batch size may differ in their last bits: at most one grey level."""
    assert jax.device_count() == 2
    reference = on_one_device[f"{method} 8"]
    assert reference.shape == (N, 8, 8, 1) and reference.std() > 20
    assert all((reference[i] != reference[j]).any() for i in range(N) for j in range(i))
    for other in (on_one_device[f"{method} 1"], images(method, 2), images(method, 8)):
        gap = np.abs(other.astype(int) - reference)
        assert gap.max() <= 1 and (gap > 0).mean() < 0.01
