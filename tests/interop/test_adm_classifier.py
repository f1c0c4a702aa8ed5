"""Classifiers of guided-diffusion: their names are read, and the pool is theirs (torch's layout, written out here)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import interop
from configs.default import get_config
from configs.guided import imagenet64, imagenet64_classifier
from engine.experiment import Experiment
from engine.guides import Guided
from models import create_model
from modes import export

CLASSES, WIDTH, HEADS = 5, 32, 2


def config(pool="attention"):
    c = get_config("vp", "encoder")
    c.data.update(dataset="folder", image_size=4, num_channels=3)
    c.model.update(num_channels=WIDTH, channel_mult=(1,), num_res_blocks=1, attention_resolutions=())
    c.model.update(num_head_channels=WIDTH // HEADS, num_classes=CLASSES, pool=pool)
    c.training.objective = "classifier"
    c.sde.schedule = "discrete"
    return c


def block(name):
    """Shapes of a residual block that keeps its width."""
    parts = {"in_layers.0": (WIDTH,), "in_layers.2": (WIDTH, WIDTH, 3, 3), "emb_layers.1": (2 * WIDTH, 4 * WIDTH)}
    parts |= {"out_layers.0": (WIDTH,), "out_layers.3": (WIDTH, WIDTH, 3, 3)}
    return {f"{name}.{part}": shape for part, shape in parts.items()}


POOLS = {
    "attention": {"out.2.qkv_proj": (3 * WIDTH, WIDTH, 1), "out.2.c_proj": (CLASSES, WIDTH, 1)},
    "mean": {"out.3": (CLASSES, WIDTH, 1, 1)},
}


def state(pool):
    """{name: array} of the classifier of `config`, as guided-diffusion's EncoderUNetModel names and lays them out."""
    weights = {"time_embed.0": (4 * WIDTH, WIDTH), "time_embed.2": (4 * WIDTH, 4 * WIDTH)}
    weights |= {"input_blocks.0.0": (WIDTH, 3, 3, 3)} | block("input_blocks.1.0") | block("middle_block.0")
    weights |= {f"middle_block.1.{part}": (n * WIDTH, WIDTH, 1) for part, n in (("qkv", 3), ("proj_out", 1))}
    weights |= {"middle_block.1.norm": (WIDTH,)} | block("middle_block.2") | {"out.0": (WIDTH,)} | POOLS[pool]
    shapes = {f"{name}.weight": shape for name, shape in weights.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in weights.items()}
    shapes |= {"out.2.positional_embedding": (WIDTH, 4 * 4 + 1)} if pool == "attention" else {}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) / WIDTH**0.5 for name, shape in shapes.items()}


def pooled(pool, arrays, h):
    """Logits (B, classes) of features h (B, C, L) by AttentionPool2d, or by the mean: float64, channels first."""
    if pool == "mean":
        return h.mean(-1) @ arrays["out.3.weight"][..., 0, 0].T + arrays["out.3.bias"]
    h = np.concatenate([h.mean(-1, keepdims=True), h], axis=-1) + arrays["out.2.positional_embedding"]
    qkv = np.einsum("oc,bcl->bol", arrays["out.2.qkv_proj.weight"][..., 0], h)
    qkv += arrays["out.2.qkv_proj.bias"][:, None]
    q, k, v = (part.reshape(-1, WIDTH // HEADS, h.shape[-1]) for part in np.split(qkv, 3, axis=1))
    weight = np.exp(np.einsum("ncl,ncm->nlm", q, k) / (WIDTH // HEADS) ** 0.5)
    found = np.einsum("nlm,ncm->ncl", weight / weight.sum(-1, keepdims=True), v).reshape(len(h), WIDTH, -1)
    return found[..., 0] @ arrays["out.2.c_proj.weight"][..., 0].T + arrays["out.2.c_proj.bias"]


@pytest.mark.parametrize("pool", POOLS)
def test_logits_are_those_of_their_pool(pool, tmp_path):
    arrays = state(pool)
    np.savez(tmp_path / "classifier.npz", **arrays)
    params = interop.load(tmp_path / "classifier.npz", config(pool))
    x = jax.random.normal(jax.random.key(0), (3, 4, 4, 3))
    logits, seen = create_model(config(pool)).apply(
        {"params": params}, x, jnp.array([0.0, 10.0, 999.0]), capture_intermediates=True
    )
    h = np.asarray(seen["intermediates"]["GroupNorm_0"]["__call__"][0], np.float64)
    h = (h / (1 + np.exp(-h))).reshape(3, -1, WIDTH).transpose(0, 2, 1)
    np.testing.assert_allclose(logits, pooled(pool, arrays, h), atol=2e-5)  # float32 sums of 32 products
    np.testing.assert_array_equal(params["ResBlock_2"]["Dense_0"]["bias"], arrays["middle_block.2.emb_layers.1.bias"])


def test_another_config_is_answered_with_the_keys(tmp_path):
    np.savez(tmp_path / "classifier.npz", **state("mean"))
    report = interop.report(tmp_path / "classifier.npz", config())
    assert "set --config.model.pool=mean (the config has 'attention')" in report
    unet = get_config("vp", "unet")
    assert "config.model.name is 'unet', the file needs 'encoder'" in interop.report(tmp_path / "classifier.npz", unet)


def test_exported_it_guides(tmp_path):
    """Its logits change eps, and the record knows it by content."""
    np.savez(tmp_path / "classifier.npz", **state("attention"))
    folder = tmp_path / "exported"
    export.run(Experiment(config(), ckpt=str(tmp_path / "classifier.npz"), result_folder=str(folder)))
    network = get_config("vp", "unet")
    network.data = config().data
    network.sde = config().sde
    network.sampling.update(classifier=str(folder), classifier_scale=2.0)
    guided: Guided = Experiment(network).guided
    assert guided.classes[0] == CLASSES and guided.noted["guides"]["classifier"]["scale"] == 2.0


def test_the_published_one_is_of_the_process_of_its_network():
    ours, network = imagenet64_classifier.get_config(), imagenet64.get_config()
    assert ours.sde.to_dict() == network.sde.to_dict() and ours.data.image_size == network.data.image_size
