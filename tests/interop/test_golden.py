"""Files as the original code wrote them, loaded and run: the outputs are those of the original networks."""

import jax
import numpy as np
import pytest

import interop
from models import create_model


def outputs(config, path, x, labels):
    """{"ema": output, "raw": output} of the network with the parameters in the file."""
    network = jax.jit(create_model(config).apply)
    trees = {params: interop.load(path, config, params) for params in ("ema", "raw")}
    return {params: np.asarray(network({"params": tree}, x, labels)) for params, tree in trees.items()}


@pytest.mark.parametrize(
    ("case", "tolerance"), [("net_cld_accr", 9e-5), ("net_ddpmpp_vp", 2e-5), ("net_ncsnpp_ve", 9e-5)]
)
def test_score_sde_and_gddim(golden_jax, case, tolerance):
    path, config, arrays = golden_jax(case)
    got = outputs(config, path, arrays["x"], arrays["labels"])
    for params, key in (("ema", "out_f64"), ("raw", "out_target")):
        error = np.abs(got[params] - arrays[key]).max((1, 2, 3)) / np.abs(arrays[key]).max((1, 2, 3))
        assert error.max() <= tolerance, params  # per sample, the manifest's


@pytest.mark.parametrize("case", ["ssde_ddpmpp", "ssde_ncsnpp"])
def test_score_sde_pytorch(golden_torch, case):
    path, config, arrays = golden_torch(case)
    got = outputs(config, path, arrays["x"].transpose(0, 2, 3, 1), arrays["time_cond"])
    for params in ("ema", "raw"):
        want = arrays[f"out_{params}"]
        error = np.abs(got[params].transpose(0, 3, 1, 2) - want).max((1, 2, 3))
        assert np.all(error <= 5 * arrays["f32err"] + 1e-5 * np.abs(want).max((1, 2, 3))), params  # the manifest's


def test_format_is_found_by_content_not_by_name(golden_jax, golden_torch, tmp_path):
    jax_path, jax_config, _ = golden_jax("net_ddpmpp_vp")
    torch_path, torch_config, _ = golden_torch("ssde_ddpmpp")
    renamed_jax, renamed_torch = tmp_path / "model.safetensors", tmp_path / "checkpoint_26"
    renamed_jax.write_bytes(jax_path.read_bytes())
    renamed_torch.write_bytes(torch_path.read_bytes())
    for path, config, renamed in ((jax_path, jax_config, renamed_jax), (torch_path, torch_config, renamed_torch)):
        want, got = interop.load(path, config), interop.load(renamed, config)
        np.testing.assert_equal(got, want)


def test_wrong_config_is_told_by_key_names_and_shapes(golden_jax):
    path, config, _ = golden_jax("net_cld_accr")
    config.model.update(num_res_blocks=2, nf=16)
    with pytest.raises(ValueError) as caught:
        interop.load(path, config)
    first, *others = str(caught.value).splitlines()
    assert first.endswith("set --config.model.nf=8 --config.model.num_res_blocks=1 (the config has 16, 2)")
    assert "other shape: Conv_0/kernel is (3, 3, 6, 8) in the file, (3, 3, 6, 16) in the config" in others
    assert any(line.startswith("missing from the file: ResnetBlockBigGANpp_10/") for line in others)
    assert "num_res_blocks" in interop.report(path, config)


def test_wrong_process_is_told_by_the_number_of_channels(golden_jax):
    path, config, _ = golden_jax("net_cld_accr")
    with pytest.raises(ValueError, match="config.sde.name is 'cld', the file needs 'vp'"):
        interop.load(golden_jax("net_ddpmpp_vp")[0], config)
    config.sde = golden_jax("net_ddpmpp_vp")[1].sde
    with pytest.raises(ValueError, match="config.sde.name is 'vp', the file needs 'cld'"):
        interop.load(path, config)


def test_report_of_a_fitting_file(golden_jax):
    path, config, arrays = golden_jax("net_cld_accr")
    assert "157 arrays, 49,414 numbers; all names and shapes fit" in interop.report(path, config)
