"""Where diffusers keeps networks: pipelines, checkpoints of training, parts, variants; and what schedulers say."""

import json

import numpy as np
import pytest

import interop
from configs.default import get_config
from files.refused import Refused
from interop import safetensors
from tests.interop.test_diffusers import DDPM, DDPM_SETTINGS, NCSNPP, NCSNPP_SETTINGS, check, ddpm, folder_of, ncsnpp

__all__ = ["ddpm", "ncsnpp"]  # fixtures


def test_pipelines_hold_the_network_in_a_folder(ddpm, params_of, tmp_path):
    leaves = params_of(ddpm)
    folder_of(tmp_path / "unet", leaves, DDPM, DDPM_SETTINGS)
    check(tmp_path, ddpm, leaves)


@pytest.mark.parametrize("where", ["scheduler_config.json", "scheduler/scheduler_config.json"])
def test_the_noise_levels_of_the_pipeline_must_agree(ncsnpp, params_of, tmp_path, where):
    path = folder_of(tmp_path / "a", params_of(ncsnpp), NCSNPP, NCSNPP_SETTINGS)
    (path / where).parent.mkdir(exist_ok=True)
    settings = {"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 1348, "snr": 0.15}
    (path / where).write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"set --config.sde.sigma_max=1348.0 \(the config has 50.0\)"):
        interop.load(path, ncsnpp)
    ncsnpp.sde.sigma_max = 1348.0
    assert interop.load_with_kind(path, ncsnpp)[1] == "unknown"
    (path / where).write_text(json.dumps(settings | {"sigma_max": "many"}))
    with pytest.raises(Refused, match="sigma_max='many' is no number"):
        interop.load(path, ncsnpp)


@pytest.mark.parametrize(
    ("scheduler", "changes"),
    [
        ({"prediction_type": "v_prediction"}, {"model.prediction": "v"}),
        ({"prediction_type": "sample"}, {"model.prediction": "x_0"}),
        ({"beta_schedule": "squaredcos_cap_v2"}, {"sde.schedule": "discrete_cosine"}),
        ({"beta_schedule": "scaled_linear"}, {"sde.schedule": "quad"}),
        ({"num_train_timesteps": 500}, {"sde.num_steps": 500, "sde.beta_min": 0.05, "sde.beta_max": 10.0}),
        ({"beta_end": 0.012}, {"sde.beta_max": 12.0}),
    ],
)
def test_the_chain_of_the_pipeline_must_agree(ddpm, params_of, tmp_path, scheduler, changes):
    folder_of(tmp_path / "unet", params_of(ddpm), DDPM, DDPM_SETTINGS)
    (tmp_path / "scheduler").mkdir()
    usual = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "num_train_timesteps": 1000}
    said = {"_class_name": "DDPMScheduler", "prediction_type": "epsilon"} | usual | scheduler
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(said))
    ddpm.sde.schedule = "discrete"
    with pytest.raises(ValueError) as refusal:
        interop.load(tmp_path, ddpm)
    for key, value in changes.items():
        assert f"--config.{key}={value}" in str(refusal.value)
    ddpm.update_from_flattened_dict(changes)
    interop.load(tmp_path, ddpm)


@pytest.mark.parametrize("setting", [{"beta_schedule": "sigmoid"}, {"prediction_type": "flow"}])
def test_chains_that_we_do_not_have(ddpm, params_of, tmp_path, setting):
    path = folder_of(tmp_path / "a", params_of(ddpm), DDPM, DDPM_SETTINGS)
    (path / "scheduler_config.json").write_text(json.dumps(setting))
    with pytest.raises(Refused, match=f"{next(iter(setting))}.*is not supported"):
        interop.load(path, ddpm)


def test_both_sets_of_a_checkpoint(ddpm, params_of, tmp_path):
    """checkpoint-<step> follows the parameters that are asked for; without a step, the newest is read."""
    sets = {"ema": params_of(ddpm, seed=1), "raw": params_of(ddpm, seed=2)}
    folders = {"ema": "unet_ema", "raw": "unet"}
    for step in (900, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for params, leaves in sets.items():
            scaled = {name: array * (step == 1000) for name, array in leaves.items()}
            folder_of(tmp_path / f"checkpoint-{step}" / folders[params], scaled, DDPM, DDPM_SETTINGS)
    for path in (tmp_path, tmp_path / "checkpoint-1000"):
        for params, leaves in sets.items():
            tree, kind = interop.load_with_kind(path, ddpm, params)
            assert kind == params
            np.testing.assert_array_equal(tree["Conv_0"]["kernel"], leaves["Conv_0/kernel"])
    assert interop.load_with_kind(tmp_path / "checkpoint-900" / "unet_ema", ddpm, "raw")[1] == "ema"


STEM = "diffusion_pytorch_model"


def split(path, names):
    """The weights in `path` as several files of safetensors with these names."""
    arrays = list(safetensors.read(path / f"{STEM}.safetensors")[0].items())
    for i, name in enumerate(names):
        safetensors.write(path / name, dict(arrays[i :: len(names)]), {})
    (path / f"{STEM}.safetensors").unlink()


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_weights_in_parts(ddpm, params_of, tmp_path, variant):
    leaves = params_of(ddpm)
    path = folder_of(tmp_path / "a", leaves, DDPM, DDPM_SETTINGS)
    names = [f"{STEM}{variant}-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    split(path, names)
    (path / f"{STEM}.safetensors.index.json").write_text("{}")
    check(path, ddpm, leaves)
    check(path / names[1], ddpm, leaves)
    (path / names[1]).unlink()
    with pytest.raises(Refused, match="part 2 of 00003 of its weights is not there"):
        interop.load(path, ddpm)


@pytest.mark.parametrize(("variant", "kind"), [("fp16", "unknown"), ("ema", "ema"), ("non_ema", "raw")])
def test_variants(ddpm, params_of, tmp_path, variant, kind):
    leaves = params_of(ddpm)
    path = folder_of(tmp_path / "a", leaves, DDPM, DDPM_SETTINGS)
    (path / f"{STEM}.safetensors").rename(path / f"{STEM}.{variant}.safetensors")
    check(path, ddpm, leaves)
    assert interop.load_with_kind(path, ddpm)[1] == kind


def test_the_better_of_several_files(ddpm, params_of, tmp_path):
    """Full precision before half, and the averages where there are both, unless a file is named."""
    path = folder_of(tmp_path / "a", params_of(ddpm, seed=0), DDPM, DDPM_SETTINGS)
    for seed, variant in enumerate(("fp16", "ema"), start=1):
        other = folder_of(tmp_path / variant, params_of(ddpm, seed=seed), DDPM, DDPM_SETTINGS)
        (other / f"{STEM}.safetensors").rename(path / f"{STEM}.{variant}.safetensors")
    for at, params, seed in ((path, "raw", 0), (path, "ema", 2), (path / f"{STEM}.fp16.safetensors", "ema", 1)):
        found = interop.load(at, ddpm, params)["Conv_0"]["kernel"]
        np.testing.assert_array_equal(found, params_of(ddpm, seed=seed)["Conv_0/kernel"])


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_weights_of_torch(ddpm, params_of, torch_zip, tmp_path, prefix):
    leaves = params_of(ddpm)
    path = folder_of(tmp_path / "a", leaves, DDPM, DDPM_SETTINGS)
    arrays = safetensors.read(path / f"{STEM}.safetensors")[0]
    torch_zip.write(path / f"{STEM}.bin", {prefix + name: torch_zip.tensor(array) for name, array in arrays.items()})
    (path / f"{STEM}.safetensors").unlink()
    check(path, ddpm, leaves)
    check(path / f"{STEM}.bin", ddpm, leaves)


def test_parameters_without_their_settings(ddpm, torch_zip, tmp_path):
    path = torch_zip.write(tmp_path / "x.pt", {"model": {"conv_in.weight": torch_zip.tensor(np.zeros(3))}})
    with pytest.raises(Refused, match=r"without the config.json .* put them beside it, as diffusion_pytorch_model.bin"):
        interop.load(path, ddpm)


def test_networks_that_are_no_unet2dmodel(ddpm, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(DDPM_SETTINGS | {"_class_name": "UNet2DConditionModel"}))
    with pytest.raises(Refused, match="a folder of diffusers with a UNet2DConditionModel; only a UNet2DModel"):
        interop.load(tmp_path, ddpm)


def test_a_config_that_makes_no_network_is_told_what_the_file_needs(ddpm, params_of, tmp_path):
    """Our U-Net has no multipliers for 8 pixels; the folder knows its own."""
    path = folder_of(tmp_path / "a", params_of(ddpm), DDPM, DDPM_SETTINGS | {"norm_eps": 1e-5})
    unet = get_config("vp", "unet")
    unet.data.image_size = 8
    with pytest.raises(ValueError, match=r"the file needs .*--config.model.channel_mult='\(1,1\)'") as refusal:
        interop.load(path, unet)
    assert len(str(refusal.value).splitlines()) == 1


def test_folder_without_weights(ddpm, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(DDPM_SETTINGS))
    with pytest.raises(Refused, match="without diffusion_pytorch_model.safetensors"):
        interop.load(tmp_path, ddpm)
