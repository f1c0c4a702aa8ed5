"""U-Nets of improved-diffusion and DDDM through the loader: what fits, and what does not."""

import lzma

import numpy as np
import pytest

import interop
from configs.default import get_config


@pytest.fixture(scope="module")
def path(golden, tmp_path_factory):
    path = tmp_path_factory.mktemp("unet") / "model.pt"
    source = golden.path("torch/idm_unet_a/ema_0.9999_000100.pt.xz")
    path.write_bytes(lzma.decompress(source.read_bytes()))
    return path


def config(**model):
    config = get_config("vp", "unet")
    config.data.image_size = 16
    config.model.update(
        num_channels=32, channel_mult=(1, 2), attention_resolutions=(8,), num_classes=10, learn_sigma=True
    )
    config.model.update(model)
    return config


def test_the_config_of_the_network_loads_it(path):
    assert interop.detect(path).startswith("improved-diffusion")
    params = interop.load(path, config())
    assert params["class_embedding"].shape == (10, 128)
    assert params["ResBlock_2"]["Conv_2"]["kernel"].shape == (1, 1, 32, 64)
    assert "all names and shapes fit" in interop.report(path, config())


@pytest.mark.parametrize(
    ("change", "name"), [({"num_classes": 0}, "class_embedding"), ({"learn_sigma": False}, "Conv_3/kernel")]
)
def test_another_config_is_refused_with_the_arrays_that_differ(path, change, name):
    with pytest.raises(ValueError, match="does not fit the config") as error:
        interop.load(path, config(**change))
    assert name in str(error.value)


def test_arrays_are_turned_and_not_reordered(path):
    """Sums do not change under transposition: every array of the file is found again."""
    from interop import torch_files

    theirs = sorted(float(np.float64(tensor.array()).sum()) for tensor in torch_files.read(path).values())
    leaves = interop.FORMATS[interop.detect(path)].read(path, None, "raw").leaves.values()
    np.testing.assert_allclose(sorted(float(np.float64(leaf).sum()) for leaf in leaves), theirs, rtol=1e-12)
