"""LPIPS: against a float64 re-statement on narrow networks, its properties, and the way from published files to it."""

import hashlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import lpips_weights
from models.lpips import lpips, upscaled
from models.lpips_weights import load_params, parameters
from tests.interop.conftest import TorchZip

# Layers by their place in torchvision's `features`; what is neither a convolution nor listed here is a ReLU.
CONVOLUTIONS = {"vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), "alex": (0, 3, 6, 8, 10)}
POOLS = {"vgg": dict.fromkeys((4, 9, 16, 23), 2), "alex": dict.fromkeys((2, 5), 3)}
KERNELS = {"vgg": {}, "alex": {0: (11, 4, 2), 3: (5, 1, 2)}}  # (size, stride, padding) where not (3, 1, 1)
TAPS = {"vgg": (3, 8, 15, 22, 29), "alex": (1, 4, 7, 9, 11)}
FULL = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}
NARROW = (4, 5, 6, 7, 3)
NETS = ("vgg", "alex")


def make_state(net, widths=NARROW, seed=0):
    """Published names -> float32: He-scaled convolutions, biases of either sign, heads in [0, 1]."""
    rng, state, channels = np.random.default_rng(seed), {}, 3
    for i in CONVOLUTIONS[net]:
        width, (size, _, _) = widths[sum(i > tap for tap in TAPS[net])], KERNELS[net].get(i, (3, 1, 1))
        scale = np.sqrt(2 / (channels * size**2))
        state[f"features.{i}.weight"] = rng.normal(0, scale, (width, channels, size, size)).astype(np.float32)
        state[f"features.{i}.bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        channels = width
    for number, width in enumerate(widths):
        state[f"lin{number}.model.1.weight"] = rng.uniform(0, 1, (1, width, 1, 1)).astype(np.float32)
    return state


def images(seed, shape=(2, 41, 50, 3)):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def windows(x, size, stride):
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


def reference_taps(state, x, net):
    """Activations (B, C, H, W) at each tap, float64, layer by layer in the published order."""
    mean, deviation = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x, taps = ((x.astype(np.float64) - mean) / deviation).transpose(0, 3, 1, 2), []
    for i in range(TAPS[net][-1] + 1):
        if i in CONVOLUTIONS[net]:
            size, stride, padding = KERNELS[net].get(i, (3, 1, 1))
            x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
            weight = state[f"features.{i}.weight"].astype(np.float64)
            x = np.einsum("bchwij,ocij->bohw", windows(x, size, stride), weight, optimize=True)
            x = x + state[f"features.{i}.bias"][:, None, None]
        elif i in POOLS[net]:
            x = windows(x, POOLS[net][i], 2).max(axis=(-2, -1))
        else:
            x = np.maximum(x, 0)
        if i in TAPS[net]:
            taps.append(x)
    return taps


def reference_features(state, x, net):
    """The same as unit vectors."""
    return [f / (np.sqrt(np.sum(f**2, axis=1, keepdims=True)) + 1e-10) for f in reference_taps(state, x, net)]


def reference(state, a, b, net):
    pairs = zip(reference_features(state, a, net), reference_features(state, b, net), strict=True)
    heads = [state[f"lin{number}.model.1.weight"].astype(np.float64) for number in range(5)]
    return sum(
        ((f_a - f_b) ** 2 * head).sum(axis=1).mean(axis=(1, 2)) for head, (f_a, f_b) in zip(heads, pairs, strict=True)
    )


@pytest.fixture(scope="module", params=NETS)
def net(request):
    return request.param


@pytest.fixture(scope="module")
def state(net):
    return make_state(net)


@pytest.fixture(scope="module")
def params(state, net):
    return parameters(state, net)


@pytest.fixture(scope="module")
def distance(net):
    return jax.jit(lambda params, a, b: lpips(params, a, b, net))


@pytest.fixture(scope="module")
def gradient(net):
    return jax.jit(jax.grad(lambda a, params, b: lpips(params, a, b, net).sum()))


def test_agrees_with_a_float64_restatement(state, params, distance, net):
    a, b = images(1), images(2)
    np.testing.assert_allclose(distance(params, a, b), reference(state, a, b, net), rtol=1e-5)


def test_is_zero_for_equal_images_and_symmetric(params, distance):
    a, b = images(1), images(2)
    assert np.array_equal(distance(params, a, a), np.zeros(2))
    there, back = distance(params, a, b), distance(params, b, a)
    np.testing.assert_allclose(there, back, rtol=1e-6)
    assert np.all(there > 0)


def test_grey_is_repeated_to_rgb(params, distance):
    a, b = images(1, (2, 41, 50, 1)), images(2, (2, 41, 50, 1))
    repeated = distance(params, a.repeat(3, axis=-1), b.repeat(3, axis=-1))
    np.testing.assert_allclose(distance(params, a, b), repeated, rtol=1e-6)


def test_gradient_is_the_slope_of_the_restatement(state, params, gradient, net):
    """Central difference of a function with kinks (ReLU, maximum): a step of 1e-6 in float64 crosses next to none."""
    a, b = images(1), images(2)
    direction, step = np.random.default_rng(3).normal(size=a.shape), 1e-6
    ahead, behind = (reference(state, a + sign * step * direction, b, net).sum() for sign in (1, -1))
    slope = np.sum(np.asarray(gradient(a, params, b), np.float64) * direction)
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-3)


def test_gradient_is_zero_at_equal_images(params, gradient):
    """To rounding: 2 w (f - f') df, where the two paths of one program may compute f and f' = f (1 + 1e-7)."""
    a = images(1)
    assert np.max(np.abs(gradient(a, params, a))) < 1e-6 * np.max(np.abs(gradient(a, params, images(2))))


def test_gradient_is_finite_where_feature_vectors_vanish(state, gradient, net):
    """No positive feature: at many pixels (first bias -2), at all (-100). Or positive ones whose squares underflow."""
    a, b = images(1), images(2)
    some, none = (parameters(state | {"features.0.bias": np.full(4, bias, np.float32)}, net) for bias in (-2, -100))
    assert np.all(np.isfinite(gradient(a, some, b)))
    assert np.any(np.asarray(gradient(a, some, b)) != 0)
    assert np.array_equal(gradient(a, none, b), np.zeros_like(a))
    tiny = {"features.0.weight": state["features.0.weight"] * np.float32(1e-25), "features.0.bias": np.zeros(4)}
    assert np.all(np.isfinite(gradient(a, parameters(state | tiny, net), b)))


def test_runs_under_pmap(params, distance, net):
    a, b = images(1), images(2)
    across = jax.pmap(lambda params, a, b: lpips(params, a, b, net), in_axes=(None, 0, 0))
    np.testing.assert_allclose(across(params, a[:, None], b[:, None])[:, 0], distance(params, a, b), rtol=1e-6)


def bilinear_224(row):
    """One axis: output pixel i lies at (i + 1/2) n / 224 - 1/2, held at the borders."""
    place = np.clip((np.arange(224) + 0.5) * len(row) / 224 - 0.5, 0, len(row) - 1)
    return np.interp(place, np.arange(len(row)), row)


@pytest.mark.parametrize("shape", [(1, 20, 31, 1), (1, 30, 255, 1)])
def test_upscaling_is_bilinear_at_half_pixel_centres(shape):
    """Places on a line are float32, W 2^-23 apart at its end; the slope between pixels is up to 2."""
    x = images(4, shape)
    expected = np.apply_along_axis(bilinear_224, 1, np.apply_along_axis(bilinear_224, 2, x.astype(np.float64)))
    np.testing.assert_allclose(upscaled(jnp.asarray(x)), expected, atol=shape[2] * 2**-21)


def test_images_from_width_256_are_not_scaled():
    x = jnp.asarray(images(4, (1, 8, 256, 3)))
    assert upscaled(x) is x


def test_bad_images_and_nets_are_refused(params, net):
    with pytest.raises(ValueError, match="one shape"):
        lpips(params, jnp.zeros((1, 41, 50, 3)), jnp.zeros((1, 50, 41, 3)), net)
    with pytest.raises(ValueError, match="1 or 3"):
        lpips(params, jnp.zeros((1, 41, 50, 4)), jnp.zeros((1, 41, 50, 4)), net)
    with pytest.raises(ValueError, match=rf"\(1, 12, 40, 3\) are too small for {net}; pass them through upscaled"):
        lpips(params, jnp.zeros((1, 12, 40, 3)), jnp.zeros((1, 12, 40, 3)), net)
    with pytest.raises(ValueError, match="net='squeeze' is unknown.*choose from vgg, alex"):
        load_params("squeeze")


def save(folder, state, net, suffix="npz"):
    """The two files of `net` as .npz, with the last layers of the classifier that LPIPS does not use."""
    heads, classifier = (file.name.replace("pth", suffix) for file in lpips_weights.FILES[net])
    np.savez(folder / heads, **{name: value for name, value in state.items() if name.startswith("lin")})
    features = {name: value for name, value in state.items() if name.startswith("features")}
    np.savez(folder / classifier, **features, **{"classifier.6.weight": np.zeros((2, 2), np.float32)})


def test_npz_weights_through_path_and_environment(state, params, tmp_path, monkeypatch, net):
    save(tmp_path, state, net)
    expected = jax.tree.map(np.asarray, params)
    jax.tree.map(np.testing.assert_array_equal, load_params(net, tmp_path), expected)
    monkeypatch.setenv("LINNET_LPIPS", str(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, load_params(net), expected)


def test_absent_files_are_named(state, tmp_path, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"no vgg\.pth .*the given path\), which must hold vgg\.pth and vgg16-397"
    ):
        load_params("vgg", tmp_path)
    monkeypatch.setenv("LINNET_LPIPS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no alex\.pth .*\$LINNET_LPIPS\).*alexnet-owt-7be5be79\.pth"):
        load_params("alex")


def test_wrong_tensors_are_named():
    state = make_state("vgg")
    lacking = {name: value for name, value in state.items() if name != "features.12.bias"}
    with pytest.raises(ValueError, match=r"lack features\.12\.bias; expected the tensors of vgg\.pth and vgg16"):
        parameters(lacking, "vgg")
    with pytest.raises(ValueError, match=r"features\.5\.weight has shape \(5, 9, 3, 3\) where \(any, 4, 3, 3\)"):
        parameters(state | {"features.5.weight": np.zeros((5, 9, 3, 3))}, "vgg")
    with pytest.raises(ValueError, match=r"lin4\.model\.1\.weight has shape \(1, 7, 1, 1\) where \(1, 3, 1, 1\)"):
        parameters(state | {"lin4.model.1.weight": np.zeros((1, 7, 1, 1))}, "vgg")
    with pytest.raises(ValueError, match=r"features\.0\.weight has shape \(4, 3, 3, 3\) where \(any, 3, 11, 11\)"):
        parameters(state, "alex")


def test_damaged_npz_is_named(state, tmp_path, net):
    save(tmp_path, state, net)
    heads = tmp_path / lpips_weights.FILES[net][0].name.replace("pth", "npz")
    heads.write_bytes(heads.read_bytes()[:-50])
    with pytest.raises(ValueError, match=f"{heads.name}: not a readable .npz file"):
        load_params(net, tmp_path)


def test_pth_needs_no_torch_but_its_checksum(state, tmp_path, monkeypatch, net):
    monkeypatch.setitem(sys.modules, "torch", None)
    save(tmp_path, state, net)
    expected = load_params(net, tmp_path)
    heads, classifier = lpips_weights.FILES[net]
    (tmp_path / heads.name).with_suffix(".npz").unlink()
    file = TorchZip()
    tensors = {name: file.tensor(array) for name, array in state.items() if name.startswith("lin")}
    path = file.write(tmp_path / heads.name, tensors)
    with pytest.raises(RuntimeError, match="damaged, cut short or another file"):
        load_params(net, tmp_path)
    heads = heads._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(lpips_weights.FILES, net, (heads, classifier))
    for got, want in zip(load_params(net, tmp_path)["heads"], expected["heads"], strict=True):
        np.testing.assert_array_equal(got, want)


def test_offline_error_says_where_to_put_the_files(tmp_path, monkeypatch):
    monkeypatch.delenv("LINNET_LPIPS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = tuple(file._replace(folder=(tmp_path / "nowhere").as_uri()) for file in lpips_weights.FILES["vgg"])
    monkeypatch.setitem(lpips_weights.FILES, "vgg", nowhere)
    where = rf"place vgg\.pth and vgg16-397923af\.pth \(or \.npz of them\) in {tmp_path / 'linnet' / 'lpips'}, or set"
    with pytest.raises(RuntimeError, match=where):
        load_params("vgg")


@pytest.mark.parametrize("size", [64, 224])
def test_agrees_with_the_lpips_package(tmp_path, size, net):
    """Published heads, read from the package's own .pth; random classifiers of full width. pip install '.[parity]'."""
    torch = pytest.importorskip("torch", reason="pip install '.[parity]'")
    package = pytest.importorskip("lpips", reason="pip install '.[parity]'")
    peer = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = make_state(net, FULL[net])
    for name, value in peer.net.named_parameters():  # slice2.5.weight is features.5.weight
        value.data = torch.tensor(state[f"features.{name.split('.', 1)[1]}"])
    save(tmp_path, state, net)
    heads, _ = lpips_weights.FILES[net]
    (tmp_path / heads.name).with_suffix(".npz").unlink()
    source = f"{package.__path__[0]}/weights/v0.1/{heads.name}"
    (tmp_path / heads.name).symlink_to(source)
    a, b = images(1, (2, size, size, 3)), images(2, (2, size, size, 3))
    with torch.no_grad():
        expected = peer(*(torch.tensor(x.transpose(0, 3, 1, 2)) for x in (a, b))).numpy().reshape(-1)
    np.testing.assert_allclose(lpips(load_params(net, tmp_path), a, b, net), expected, rtol=1e-5)
