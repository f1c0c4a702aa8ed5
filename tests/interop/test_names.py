"""The flat list of score_sde_pytorch and CLD-SGM, for every kind of network.

The list is built here from our own networks: layers in the order in which they are first called. Reading it back must
find every name, which the reader derives from what the layers hold, without knowing the config.
"""

import jax
import numpy as np
import pytest

import interop
from configs.default import get_config
from interop import known
from models import create_model
from models.eps_net import create_eps_net
from sde_lib import get_sde

VE = {"fir": True, "embedding_type": "fourier", "scale_by_sigma": True}
NETWORKS = {
    "input and output skips": VE | {"progressive": "output_skip", "progressive_input": "input_skip"},
    "concatenated": VE | {"progressive_input": "input_skip", "progressive_combine": "cat"},
    "residual both ways": {"progressive": "residual", "progressive_input": "residual", "num_res_blocks": 2},
    "ddpm blocks": {"resblock_type": "ddpm", "ch_mult": (1, 1, 2)},
    "ddpm blocks, residual": {"resblock_type": "ddpm", "progressive": "residual", "progressive_input": "residual"},
    "ddpm blocks, no convolutions": {"resblock_type": "ddpm", "resamp_with_conv": False},
    "unconditional": {"conditional": False},
    "DDPM": {"name": "ddpm", "nf": 32, "ch_mult": (1, 1, 2)},
}


def config_of(changes, process="vp"):
    config = get_config(process, changes.get("name", "ncsnpp"))
    config.model.update({"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (8,)} | changes)
    config.data.image_size = 16
    return config


def as_torch(name, array):
    """(name inside its layer, array) as torch holds it."""
    *path, leaf = name.split("/")[1:]
    leaf = {"kernel": "weight", "scale": "weight"}.get(leaf, leaf)
    if leaf == "weight":
        array = {4: lambda a: a.transpose(3, 2, 0, 1), 2: np.transpose}.get(array.ndim, np.asarray)(array)
    return ".".join([*path, leaf]), array


def flat_list(leaves):
    """{"all_modules.<i>.<...>": array} with one number per layer, in the order of `leaves`."""
    layers = list(dict.fromkeys(name.split("/")[0] for name in leaves))
    flat = {}
    for name, array in leaves.items():
        inside, array = as_torch(name, array)
        flat[f"all_modules.{layers.index(name.split('/')[0])}.{inside}"] = array
    return flat


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_get_their_names_back(network, params_of, torch_zip, tmp_path):
    config = config_of(NETWORKS[network])
    leaves = params_of(config)
    model = {f"module.{name}": torch_zip.tensor(array) for name, array in flat_list(leaves).items()}
    shadow = [torch_zip.tensor(-a) for name, a in flat_list(leaves).items() if name != "all_modules.0.W"]
    content = {"model": {"module.sigmas": torch_zip.tensor(np.zeros(3))} | model, "ema": {"shadow_params": shadow}}
    path = torch_zip.write(tmp_path / "x.pth", content)
    for params, sign in (("raw", 1), ("ema", -1)):
        tree = interop.load(path, config, params)
        for name, array in leaves.items():
            got = tree
            for key in name.split("/"):
                got = got[key]
            np.testing.assert_array_equal(got, array if name.startswith("Gaussian") else sign * array)


def written(torch_zip, path, leaves):
    """The .pth of score_sde_pytorch with these raw parameters."""
    model = {name: torch_zip.tensor(array) for name, array in flat_list(leaves).items()}
    return torch_zip.write(path, {"model": model})


def test_the_file_tells_ddpm_from_ncsnpp(params_of, torch_zip, tmp_path):
    ddpm, ncsnpp = config_of(NETWORKS["DDPM"]), config_of({"nf": 32, "ch_mult": (1, 1, 2)})
    path = written(torch_zip, tmp_path / "ddpm.pth", params_of(ddpm))
    with pytest.raises(ValueError, match="model.name is 'ncsnpp', the file needs 'ddpm'") as caught:
        interop.load(path, ncsnpp, "raw")
    assert "resblock_type" not in str(caught.value).splitlines()[0]
    path = written(type(torch_zip)(), tmp_path / "ncsnpp.pth", params_of(ncsnpp))
    with pytest.raises(ValueError, match="model.name is 'ddpm', the file needs 'ncsnpp'"):
        interop.load(path, ddpm, "raw")


def test_a_published_ddpm_is_no_ncsnpp_with_its_blocks(params_of, torch_zip, tmp_path, monkeypatch):
    """Both have the same arrays: what is published is a DDPM, what is not is what the config says."""
    ddpm, ncsnpp = config_of(NETWORKS["DDPM"]), config_of(NETWORKS["ddpm blocks"] | {"nf": 32})
    path = written(torch_zip, tmp_path / "x.pth", params_of(ddpm))
    assert "ResnetBlockDDPMpp_0" in interop.load(path, ncsnpp, "raw")
    monkeypatch.setitem(known.KNOWN, "configs/vp/cifar10_ddpm.py", {"name": "ddpm", "nf": 32, "ch_mult": (1, 1, 2)})
    assert "ResnetBlockDDPM_0" in interop.load(path, ddpm, "raw")
    with pytest.raises(ValueError, match="the file needs 'ddpm'; .*use --config=configs/vp/cifar10_ddpm.py"):
        interop.load(path, ncsnpp, "raw")


def cld_sgm(params_of, torch_zip, path, changes):
    """(config, leaves, file of CLD-SGM with the last half of the outputs of `leaves`)."""
    config = config_of(changes, "cld")
    leaves = params_of(config, channels=6)
    if "GaussianFourierProjection_0/W" in leaves:
        leaves["GaussianFourierProjection_0/W"] *= 80  # as spread out as in the published networks
    last = max((n for n in leaves if n.startswith("Conv_")), key=lambda n: int(n.split("/")[0][5:])).split("/")[0]
    halved = leaves | {f"{last}/{leaf}": leaves[f"{last}/{leaf}"][..., 3:] for leaf in ("kernel", "bias")}
    model = {name: torch_zip.tensor(array) for name, array in flat_list(halved).items()}
    return config, leaves, torch_zip.write(path, {"model": model})


CLD_SGM = {
    "fourier": {"fir": True, "embedding_type": "fourier", "progressive_input": "residual"},
    "positional": {"embedding_type": "positional"},
}


@pytest.mark.parametrize("kind", CLD_SGM)
@pytest.mark.parametrize("eps", [1e-6, 1e-9])
def test_network_of_cld_sgm(params_of, torch_zip, tmp_path, kind, eps):
    """Half the outputs; told t itself, it gives to the last bit what the original gives, whatever numerical_eps was."""
    config, leaves, path = cld_sgm(params_of, torch_zip, tmp_path / "x.pth", CLD_SGM[kind])
    config.model.update(prediction="velocity", mixed_score=True)
    config.sde.eps = eps
    tree = interop.load(path, config, "raw")
    net = create_eps_net(config, create_model(config), get_sde(config))
    original = interop.load(interop.export(unflat(leaves), config, tmp_path / "export"), config)
    u = np.random.default_rng(0).standard_normal((3, 16, 16, 6)).astype(np.float32)
    t = np.array([1e-3, 0.3, 1.0], np.float32)
    want = np.asarray(jax.jit(net.module.apply)({"params": original}, u, t))[..., 3:]
    got = np.asarray(jax.jit(net.output)(tree, u, t))
    assert np.all(got[..., :3] == 0)
    # the same operations on the same labels; XLA may order the sums of six output channels and of three differently
    np.testing.assert_allclose(got[..., 3:], want, rtol=0, atol=2e-6 * np.abs(want).max())


def test_cld_sgm_needs_its_prediction(params_of, torch_zip, tmp_path):
    config, _, path = cld_sgm(params_of, torch_zip, tmp_path / "x.pth", {"embedding_type": "fourier"})
    flags = "--config.model.prediction=velocity --config.model.mixed_score=True"
    with pytest.raises(ValueError, match=f"set {flags}"):
        interop.load(path, config, "raw")


def unflat(leaves):
    tree = {}
    for name, array in leaves.items():
        *path, leaf = name.split("/")
        inner = tree
        for key in path:
            inner = inner.setdefault(key, {})
        inner[leaf] = array
    return tree
