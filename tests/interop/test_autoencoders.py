"""Folders of diffusers' AutoencoderKL: by their structure, and against diffusers itself where that is installed."""

import json
import re

import jax
import numpy as np
import pytest
from flax import traverse_util

from files.refused import Refused
from interop import autoencoders, safetensors
from models.autoencoder_kl import AutoencoderKL

TINY = {
    "_class_name": "AutoencoderKL",
    "in_channels": 1,
    "out_channels": 1,
    "latent_channels": 3,
    "block_out_channels": [8, 12],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "act_fn": "silu",
    "scaling_factor": 0.7,
    "shift_factor": 0.3,
}
BARE = {"use_quant_conv": False, "use_post_quant_conv": False, "mid_block_add_attention": False}


def module_of(settings):
    keys = ("in_channels", "out_channels", "latent_channels", "layers_per_block", "norm_num_groups", *BARE)
    return AutoencoderKL(
        block_out_channels=tuple(settings["block_out_channels"]),
        **{key: settings[key] for key in keys if key in settings},
    )


def published(params):
    """The arrays by the names and in the layouts of torch."""
    arrays = {}
    for path, leaf in traverse_util.flatten_dict(params, sep="/").items():
        name = re.sub(r"(blocks|resnets|attentions|samplers|out)_(\d)", r"\1.\2", path).replace("/", ".")
        name = re.sub(r"(scale|kernel)$", "weight", name)
        axes = {2: (1, 0), 4: (3, 2, 0, 1)}.get(leaf.ndim)
        arrays[name] = np.asarray(leaf).transpose(axes) if axes else np.asarray(leaf)
    return arrays


def write(folder, settings, arrays):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))
    safetensors.write(folder / "diffusion_pytorch_model.safetensors", arrays, {})


@pytest.fixture(scope="module")
def tiny():
    """(module, params) of TINY with random numbers everywhere."""
    module = module_of(TINY)
    params = jax.jit(module.init)(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))["params"]
    rng = np.random.default_rng(0)
    return module, jax.tree.map(lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape, np.float32), params)


def test_a_folder_and_a_pipeline_give_the_parameters_that_went_into_them(tiny, tmp_path):
    _, params = tiny
    write(tmp_path / "vae", TINY, published(params))
    for path in (tmp_path, tmp_path / "vae"):
        found = autoencoders.load(path)
        jax.tree.map(np.testing.assert_array_equal, found.params, params)
        assert (found.scale, found.shift) == (0.7, 0.3)


def test_names_of_earlier_versions_are_read(tiny, tmp_path):
    """query, key, value and proj_attn, as 1 x 1 convolutions."""
    _, params = tiny
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    arrays = {}
    for name, array in published(params).items():
        for new, former in old.items():
            name = name.replace(f".{new}.", f".{former}.")
        earlier = "attentions" in name and array.ndim == 2
        arrays[name] = array[:, :, None, None] if earlier else array
    write(tmp_path / "old", TINY, arrays)
    jax.tree.map(np.testing.assert_array_equal, autoencoders.load(tmp_path / "old").params, params)


def test_the_autoencoder_of_stable_diffusion_has_its_published_size():
    """83,653,863 parameters, in 248 arrays, are those of stabilityai/sd-vae-ft-mse; pictures of 64 become 8 x 8 x 4."""
    module = AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2)
    shapes = autoencoders.expected(module)
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes.values())) == (248, 83_653_863)
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    z = jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, method="encode")[0], x)
    assert z.shape == (1, 8, 8, 4)


def test_the_attention_of_the_middle_is_that_of_the_formula(tiny):
    """x + to_out(softmax(q k^T / sqrt(C)) v), position by position, in float64."""
    from models.autoencoder_kl import Attention

    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 2, 3, 8)).astype(np.float32)
    module = Attention(groups=4)
    params = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), module.init(jax.random.key(0), x)["params"]
    )
    found = module.apply({"params": params}, x)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    grouped = x.astype(float).reshape(6, 4, 2)
    mean, variance = grouped.mean((0, 2), keepdims=True), grouped.var((0, 2), keepdims=True)
    h = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(6, 8) * p["group_norm"]["scale"] + p["group_norm"]["bias"]
    q, k, v = (h @ p[name]["kernel"] + p[name]["bias"] for name in ("to_q", "to_k", "to_v"))
    weights = np.exp(q @ k.T / np.sqrt(8))
    out = (weights / weights.sum(1, keepdims=True)) @ v @ p["to_out_0"]["kernel"] + p["to_out_0"]["bias"]
    np.testing.assert_allclose(found.reshape(6, 8), x.reshape(6, 8) + out, rtol=1e-4, atol=1e-4)  # float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"act_fn": "gelu"}, "act_fn='gelu' is not supported"),
        ({"latents_mean": [0.0]}, "latents_mean"),
        ({"up_block_types": ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]}, "up_block_types=.*only UpDecoderBlock2D"),
        ({"layers_per_block": 2}, r"\d+ arrays differ"),
        ({"latent_channels": 4}, "by config.json it is"),
    ],
)
def test_what_is_not_supported_or_does_not_fit_is_named(changes, message, tiny, tmp_path):
    write(tmp_path / "other", TINY | changes, published(tiny[1]))
    with pytest.raises(Refused, match=message):
        autoencoders.load(tmp_path / "other")


@pytest.mark.parametrize("options", [{}, BARE], ids=["all", "without what is optional"])
def test_it_computes_what_diffusers_computes(options, tmp_path):
    """To 2e-5 of the largest output: float32 through a dozen layers."""
    torch = pytest.importorskip("torch", reason="pip install torch diffusers to compare with diffusers itself")
    diffusers = pytest.importorskip("diffusers", reason="pip install diffusers to compare with diffusers itself")
    torch.manual_seed(0)
    settings = {key: value for key, value in (TINY | options).items() if not key.startswith("_")}
    network = diffusers.AutoencoderKL(**settings).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        x = 2 * torch.rand(2, 1, 16, 8) - 1
        z = network.encode(x).latent_dist.mean
        y = network.decode(z).sample
    network.save_pretrained(tmp_path)
    x, z, y = (np.asarray(a.permute(0, 2, 3, 1)) for a in (x, z, y))
    found = autoencoders.load(tmp_path)
    variables = {"params": found.params}
    np.testing.assert_allclose(found.module.apply(variables, x, method="encode"), z, atol=2e-5 * np.abs(z).max())
    np.testing.assert_allclose(found.module.apply(variables, z, method="decode"), y, atol=2e-5 * np.abs(y).max())
