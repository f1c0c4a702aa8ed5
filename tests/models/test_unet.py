"""The U-Net of improved DDPM: published networks, and identities between its options."""

import dataclasses
import lzma

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from interop import improved_diffusion
from models.unet import CHANNEL_MULT, UNet
from models.unet_layers import Conv, ResBlock, doubled, halved

PUBLISHED = {
    "idm_unet_a/ema_0.9999_000100.pt.xz": UNet(
        32, (1, 2), 2, attention_resolutions=(8,), num_heads=4, num_classes=10, learn_sigma=True
    ),
    "idm_unet_b/model000020.pt.xz": UNet(
        32, (1, 1, 2), 1, attention_resolutions=(8, 4), num_heads=2, num_heads_upsample=4, use_scale_shift_norm=False
    ),
    "dddm_unet_ca/model0006.pt.xz": UNet(32, (1, 2), 1, attention_resolutions=(4,), num_heads=4, cross_attention=True),
}
TOLERANCE = {"idm_unet_a": 2e-5, "idm_unet_b": 2e-5, "dddm_unet_ca": 3e-5}
NET = UNet(8, (1, 2), 1, attention_resolutions=(4,), num_heads=2)
FLAT = UNet(8, (2,), 1, attention_resolutions=(8,), num_heads=2)  # one level: enough where only the ends matter
X, T = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)), jnp.array([3.0, 700.0])


def nhwc(images):
    return images.transpose(0, 2, 3, 1)


def shapes_of(net, x=X):
    shapes = jax.eval_shape(lambda x, t: net.init(jax.random.key(0), x, t), x, T)["params"]
    return traverse_util.flatten_dict(shapes, sep="/")


def random_parameters(net, x=X, seed=1):
    """Normal values of the scale of each layer's fan-in, zero-initialised layers included: flat."""
    rng, params = np.random.default_rng(seed), {}
    for name, leaf in shapes_of(net, x).items():
        scale = max(1, int(np.prod(leaf.shape[:-1]))) ** -0.5 if len(leaf.shape) > 1 else 0.3
        params[name] = (scale * rng.normal(size=leaf.shape)).astype(np.float32)
    return params


def run(net, params, x=X, **conditions):
    tree = traverse_util.unflatten_dict(dict(params), sep="/")
    return jax.jit(lambda p: net.apply({"params": p}, x, T, **conditions))(tree)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(golden, name, tmp_path):
    """Parameters by name and output. The tolerances are below the effect of a wrong epsilon of GroupNorm."""
    path = tmp_path / "model.pt"
    path.write_bytes(lzma.decompress(golden.path(f"torch/{name}").read_bytes()))
    case = name.split("/")[0]
    io, net = golden(f"torch/{case}/io.npz"), PUBLISHED[name]
    assert improved_diffusion.recognises(path)
    leaves = improved_diffusion.read(path, None, "ema").leaves
    x, t = nhwc(io["x"]), io["timesteps"]
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, t))["params"]
    expected = {n: s.shape for n, s in traverse_util.flatten_dict(shapes, sep="/").items()}
    assert {n: a.shape for n, a in leaves.items()} == expected
    conditions = {"label": io["y"]} if "y" in io else {}
    conditions |= {"context": nhwc(io["context"])} if "context" in io else {}
    tree = traverse_util.unflatten_dict(dict(leaves), sep="/")
    out = jax.jit(lambda p: net.apply({"params": p}, x, t, **conditions))(tree)
    np.testing.assert_allclose(out, nhwc(io["out"]), rtol=0, atol=TOLERANCE[case])


@pytest.mark.parametrize("options", [{}, {"downsample": True}, {"upsample": True}, {"kernel_size": 1}])
def test_convolution_of_one_frame_is_that_of_an_image(options):
    """On one frame, zero padding leaves only the middle slice of the kernel; the frame axis keeps its length."""
    layer = Conv(5, **options)
    params = layer.init(jax.random.key(1), X[:, None])["params"]
    flat = {"kernel": params["kernel"][len(params["kernel"]) // 2], "bias": params["bias"]}
    volume, image = layer.apply({"params": params}, X[:, None]), layer.apply({"params": flat}, X)
    np.testing.assert_allclose(volume[:, 0], image, atol=1e-5)


@pytest.mark.parametrize("resize", [doubled, halved])
def test_resizing_leaves_the_frames_alone(resize):
    volume = jnp.stack([X, 2 * X, -X], 1)
    np.testing.assert_allclose(resize(volume), jnp.stack([resize(X), 2 * resize(X), -resize(X)], 1), rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 8, 3), (2, 8, 8, 3), (2, 3, 8, 8, 3)])
def test_signals_images_and_videos_keep_their_shape(shape):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    out = jax.eval_shape(lambda x, t: NET.init_with_output(jax.random.key(0), x, t)[0], x, T)
    assert (out.shape, out.dtype) == (shape, jnp.float32)


@pytest.mark.parametrize("option", ["downsample", "upsample", None])
def test_one_dimensional_convolution_equals_numpy(option):
    layer = Conv(5, **({option: True} if option else {}))
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    params = layer.init(jax.random.key(1), x)["params"]
    kernel = np.asarray(params["kernel"])
    wide = np.pad(np.repeat(x, 2, 1) if option == "upsample" else x, ((0, 0), (1, 1), (0, 0)))
    expected = sum(wide[:, k : wide.shape[1] - 2 + k] @ kernel[k] for k in range(3))
    expected = expected[:, ::2] if option == "downsample" else expected
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, atol=1e-5)


def test_new_attention_order_is_a_permutation_of_the_channels():
    params = random_parameters(FLAT)
    new = dict(params)
    for name, array in params.items():
        if name.startswith("AttentionBlock") and "Dense_0" in name:
            heads_first = array.reshape(*array.shape[:-1], 2, 3, -1)
            new[name] = heads_first.swapaxes(-3, -2).reshape(array.shape)
    expected = run(FLAT, params)
    np.testing.assert_allclose(
        run(dataclasses.replace(FLAT, use_new_attention_order=True), new), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_head_channels_set_the_number_of_heads():
    """16 channels at the level with attention: 8 per head are 2 heads."""
    params = random_parameters(FLAT)
    np.testing.assert_array_equal(
        run(dataclasses.replace(FLAT, num_heads=1, num_head_channels=8), params), run(FLAT, params)
    )


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("scale_shift", [False, True])
def test_resampling_block_equals_numpy(direction, scale_shift):
    rng = np.random.default_rng(0)
    x, emb = rng.normal(size=(2, 4, 4, 8)), rng.normal(size=(2, 6))
    block = ResBlock(8, scale_shift=scale_shift, direction=direction)
    shapes = jax.eval_shape(lambda x, e: block.init(jax.random.key(0), x, e, None), x, emb)["params"]
    params = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32) * 0.5, shapes)
    out = block.apply({"params": params}, x.astype(np.float32), emb.astype(np.float32), None)

    def silu(v):
        return v / (1 + np.exp(-v))

    def norm(v, p):  # 8 channels make 8 groups
        return (v - v.mean((1, 2), keepdims=True)) / np.sqrt(v.var((1, 2), keepdims=True) + 1e-5) * p["scale"] + p[
            "bias"
        ]

    def resize(v):
        if direction == "up":
            return v.repeat(2, 1).repeat(2, 2)
        return (v[:, ::2, ::2] + v[:, 1::2, ::2] + v[:, ::2, 1::2] + v[:, 1::2, 1::2]) / 4

    def conv(v, p):
        wide = np.pad(v, ((0, 0), (1, 1), (1, 1), (0, 0)))
        h, w = v.shape[1:3]
        taps = [(i, j) for i in range(3) for j in range(3)]
        return sum(wide[:, i : i + h, j : j + w] @ p["kernel"][i, j] for i, j in taps) + p["bias"]

    e = (silu(emb) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])[:, None, None]
    h = conv(resize(silu(norm(x, params["GroupNorm_0"]))), params["Conv_0"])
    if scale_shift:
        h = norm(h, params["GroupNorm_1"]) * (1 + e[..., :8]) + e[..., 8:]
    else:
        h = norm(h + e, params["GroupNorm_1"])
    expected = resize(x) + conv(silu(h), params["Conv_1"])
    np.testing.assert_allclose(out, expected, atol=2e-4)  # a product of two float32 convolutions of size about 30


@pytest.mark.parametrize("options", [{"resblock_updown": True}, {"conv_resample": False}])
def test_the_other_ways_of_resampling_have_their_own_parameters(options):
    convolutions = [n for n in shapes_of(dataclasses.replace(NET, **options)) if n.startswith("Conv_")]
    blocks = {n.split("/")[0] for n in shapes_of(dataclasses.replace(NET, **options)) if n.startswith("ResBlock")}
    assert len(convolutions) == 4 and len(blocks) == 8 + 2 * options.get("resblock_updown", False)


def test_low_resolution_image_is_stacked_onto_the_input():
    """At full size it is what a network without the option makes of the stacked images (with the same parameters)."""
    params = random_parameters(FLAT, jnp.concatenate([X, X], -1))
    conditioned = dataclasses.replace(FLAT, super_resolution=True, learn_sigma=True)
    low_res = jax.random.normal(jax.random.key(5), X.shape)
    np.testing.assert_array_equal(
        run(conditioned, params, low_res=low_res), run(FLAT, params, jnp.concatenate([X, low_res], -1))
    )


def test_low_resolution_image_is_interpolated_linearly():
    """Pixel centres: row i of the large image lies at (i + 1/2) / 2 - 1/2 of the small one, clamped at the border."""
    params = random_parameters(FLAT, jnp.concatenate([X, X], -1))
    conditioned = dataclasses.replace(FLAT, super_resolution=True, learn_sigma=True)
    small = np.random.default_rng(2).normal(size=(2, 4, 4, 3)).astype(np.float32)
    place = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(4))).astype(np.float32)
    large = np.einsum("ih,jw,bhwc->bijc", weights, weights, small)
    np.testing.assert_allclose(
        run(conditioned, params, low_res=small), run(FLAT, params, jnp.concatenate([X, large], -1)), atol=2e-5
    )


def test_class_enters_as_a_row_added_to_the_time_embedding():
    net = dataclasses.replace(FLAT, num_classes=4)
    params = random_parameters(net)
    labels, none = jnp.array([2, 0]), jnp.array([-1, -1])
    shifted = params | {"Dense_1/bias": params["Dense_1/bias"] + params["class_embedding"][2]}
    plain = {n: a for n, a in shifted.items() if n != "class_embedding"}
    np.testing.assert_allclose(run(net, params, label=labels)[0], run(FLAT, plain)[0], atol=1e-5)
    np.testing.assert_array_equal(run(net, params, label=none), run(net, params))
    assert float(jnp.abs(run(net, params, label=labels) - run(net, params)).max()) > 1e-3


def test_remat_keeps_the_parameter_names():
    assert shapes_of(NET).keys() == shapes_of(dataclasses.replace(NET, remat=True)).keys()


def test_bfloat16_torso():
    """Two to three digits of every layer: a few per cent of the output, which stays float32."""
    params = random_parameters(FLAT)
    exact, rounded = run(FLAT, params), run(dataclasses.replace(FLAT, dtype="bfloat16"), params)
    assert rounded.dtype == jnp.float32
    assert float(jnp.abs(rounded - exact).mean() / jnp.abs(exact).mean()) < 0.03


@pytest.mark.parametrize("height", CHANNEL_MULT)
def test_published_multipliers_by_height(height):
    net = UNet(32, num_res_blocks=1, attention_resolutions=())
    x = jax.ShapeDtypeStruct((1, height, height, 3), jnp.float32)
    shapes = traverse_util.flatten_dict(jax.eval_shape(net.init, jax.random.key(0), x, jnp.zeros(1))["params"], sep="/")
    widths = [shapes[f"ResBlock_{i}/Conv_0/kernel"].shape[-1] for i in range(len(CHANNEL_MULT[height]))]
    assert widths == [int(32 * m) for m in CHANNEL_MULT[height]]


@pytest.mark.parametrize(
    ("net", "size", "conditions", "message"),
    [
        (UNet(8), (8, 8), {}, "no published channel_mult for height 8"),
        (NET, (8, 9), {}, "image size 8x9 must be a multiple of 2"),
        (dataclasses.replace(NET, num_heads=3), (8, 8), {}, "16 channels do not split into 3 heads"),
        (NET, (8, 8), {"label": jnp.zeros(2, int)}, "needs num_classes, which this network was built without"),
        (dataclasses.replace(NET, super_resolution=True), (8, 8), {}, "low_res is missing"),
    ],
)
def test_refusals(net, size, conditions, message):
    x = jnp.zeros((2, *size, 3))
    params = traverse_util.unflatten_dict(random_parameters(NET), sep="/")
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: net.apply({"params": params}, x, T, **conditions))


def test_unknown_dtype():
    with pytest.raises(ValueError, match="config.model.dtype='float16' is unknown"):
        UNet(dtype="float16")
