"""Networks of other code bases, read from their files, under a process that they were not trained for."""

import lzma

import jax
import numpy as np
import pytest

import interop
from configs.processes import SDE
from engine.experiment import Experiment
from tests.interop import test_unet
from tests.interop.edm_files import exported
from tests.interop.test_edm import config_of


def edm(golden, params_of, folder):
    config = config_of("ve")
    np.savez(folder / "network.npz", **exported(params_of(config), config))
    return folder / "network.npz", config


def improved_diffusion(golden, params_of, folder):
    path = folder / "ema_0.9999_000100.pt"
    path.write_bytes(lzma.decompress(golden.path("torch/idm_unet_a/ema_0.9999_000100.pt.xz").read_bytes()))
    config = test_unet.config()
    config.sde.schedule = "discrete"
    return path, config


@pytest.mark.parametrize("layout", [edm, improved_diffusion])
def test_a_published_file_is_carried_to_cld_as_it_is_at_home(layout, golden, params_of, tmp_path):
    """The same parameters and border; what is made of them is tested in tests/models/test_transfer.py."""
    path, config = layout(golden, params_of, tmp_path)
    home = Experiment(config, ckpt=str(path))
    away = config.copy_and_resolve_references()
    away.network_sde, away.sde = config.sde, type(config.sde)(SDE["cld"], type_safe=False)
    found = Experiment(away, ckpt=str(path))
    jax.tree.map(np.testing.assert_array_equal, found.trained.params, interop.load(path, config))
    net = found.carried.net
    assert (net.module, net.prediction) == (home.eps_net.module, home.eps_net.prediction)
    assert type(net.sde) is type(home.sde)
    assert found.processes == {"sde": SDE["cld"], "network_sde": config.sde.to_dict()}
