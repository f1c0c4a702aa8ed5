"""What a file says about its config, and that following the advice leads to one that the file fits."""

import json

import numpy as np
import pytest
from flax import traverse_util

import interop
from configs.default import get_config
from interop import cld_sgm, known
from interop.expected import expected_shapes
from interop.mismatch import compare
from interop.published import Loaded
from models import BORDER

VE = "configs/ve/cifar10_ncsnpp.py"
VP = "configs/vp/cifar10_ddpmpp.py"
DDPM = "configs/vp/cifar10_ddpm.py"
CLD = "configs/cld/cifar10_accelerated.py"
HYBRID = "configs/iddpm/cifar10_hybrid.py"
SMALL = "--config.model.ch_mult=(1,2) --config.model.nf=64"


def shapes_of(config, shape=None, k=None):
    """expected_shapes, computed once per network."""
    network = tuple((key, config.model[key]) for key in sorted(config.model) if key not in BORDER)
    key = (config.model.name, network, config.data.image_size, config.sde.name, shape, k)
    if key not in SHAPES:
        SHAPES[key] = expected_shapes(config, shape, k)
    return SHAPES[key]


SHAPES = {}


def leaves_of(shapes):
    """Arrays of these shapes that need no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def advice(file, config, fields=None):
    """The Mismatch under a config of a file with the network of the config `file`, read by score_sde's reader."""
    leaves = leaves_of(shapes_of(file))
    fields = known.stated(leaves, config) if fields is None else fields
    return compare(Loaded(leaves, fields), shapes_of(config), config)


def follow(file, config, config_of, fields=None):
    """The config that the advice leads to."""
    seen = [config]
    while mismatch := advice(file, seen[-1], fields):
        assert len(seen) < 3, mismatch.summary()
        if mismatch.config:
            seen.append(config_of(mismatch.config.removeprefix("--config=")))
        else:
            seen.append(seen[-1].copy_and_resolve_references())
            seen[-1].update_from_flattened_dict({key: theirs for key, (_, theirs) in mismatch.keys.items()})
    return seen[-1]


@pytest.mark.parametrize(
    ("file", "start"),
    [
        (VE, VP),
        (VE, CLD),
        (VE, HYBRID),
        (VP, DDPM),
        (VP, HYBRID),
        (DDPM, VP),
        (DDPM, VE),
        (CLD, VE),
        (HYBRID, VP),
        (HYBRID, "configs/iddpm/imagenet64_class.py"),
        (HYBRID, "configs/dddm/cifar10_vp.py"),
        ("configs/iddpm/upsampler_64_256.py", HYBRID),
        (f"{VP} {SMALL}", VP),
        (f"{VP} {SMALL} --config.model.attn_resolutions=(16,8)", VP),
        (f"{HYBRID} --config.model.channel_mult=(1,2) --config.model.num_channels=64", HYBRID),
        (f"{HYBRID} --config.model.attention_resolutions=(16,)", HYBRID),
    ],
)
def test_following_the_advice(file, start, config_of):
    wanted = config_of(file)
    found = follow(wanted, config_of(start), config_of)
    assert shapes_of(found) == shapes_of(wanted)
    for key in ("sde.name", "model.name", *known.stated(leaves_of(shapes_of(wanted)), wanted)):
        assert config_value(found, key) == config_value(wanted, key)


def config_value(config, key):
    group, name = key.split(".")
    return config[group].get(name)


@pytest.mark.parametrize("start", [VE, VP, CLD, HYBRID, "configs/dddm/cifar10_vp.py", "configs/toy/rings_vp.py"])
@pytest.mark.parametrize("file", [VE, DDPM, HYBRID, "configs/toy/rings_vp.py"])
def test_where_networks_differ_only_their_names_are_told(file, start, config_of):
    wanted, config = config_of(file), config_of(start)
    theirs, ours = (shapes_of(c, (2,) if c.data.dataset == "points" else (32, 32, 3), 1) for c in (wanted, config))
    fields = {f"model.{key}": value for key, value in wanted.model.items()}
    mismatch = compare(Loaded(leaves_of(theirs), fields), ours, config)
    if wanted.model.name == config.model.name:
        assert "model.name" not in mismatch.keys
    else:
        assert [key for key in mismatch.keys if key.startswith("model.")] == ["model.name"]
        assert "use " in mismatch.summary() and "set " not in mismatch.summary()


def test_each_key_is_printed_once(config_of):
    for start in (VP, CLD, f"{VE} {SMALL}"):
        summary = advice(config_of(VE), config_of(start)).summary()
        keys = [part.split(" ")[0].split("=")[0] for part in summary.split("config.")[1:]]
        assert len(keys) == len(set(keys)) > 0


def test_flags_are_ready_for_a_shell(config_of):
    summary = advice(config_of(f"{VP} {SMALL}"), config_of(VP)).summary()
    assert "set --config.model.nf=64 --config.model.ch_mult='(1,2)' (the config has 128, (1, 2, 2, 2))" in summary


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (VE, ["sde.name='vp'", "model.prediction='eps'", "model.scale_by_sigma=False", "data.centered=True"]),
        (VP, ["sde.name='ve'", "model.prediction='v'", "model.scale_by_sigma=True", "data.centered=False"]),
        (CLD, ["model.prediction='score'", "model.mixed_score=True", "data.centered=False"]),
    ],
)
def test_published_files_under_a_config_of_the_same_shapes(file, changes, config_of):
    for change in changes:
        key, value = change.split("=")
        config = config_of(f"{file} --config.{change}")
        mismatch = advice(config_of(file), config)
        assert list(mismatch.keys) == [key]
        assert repr(mismatch.keys[key][0]) == value


def test_networks_of_sub_vp_are_those_of_vp(config_of):
    subvp = config_of("configs/subvp/cifar10_ddpmpp.py")
    assert not advice(subvp, config_of(VP))
    assert not advice(subvp, subvp)


def test_networks_of_other_sizes_are_left_to_the_config(config_of):
    """A user's own file of score_sde: nothing that its shapes do not show is taken for granted."""
    config = config_of(f"{VE} --config.model.nf=64 --config.data.centered=True --config.model.prediction='eps'")
    assert not advice(config, config)


@pytest.mark.parametrize("path", cld_sgm.PROCESSES)
def test_cld_sgm_under_gddims_config(config_of, path):
    wanted = config_of(path)
    fields = cld_sgm.convert(leaves_of(shapes_of(wanted)), "ema").fields
    assert fields["sde.eps"] == (1e-9 if "cifar10" in path else 1e-6)
    assert not advice(wanted, wanted, fields)
    mismatch = advice(wanted, config_of(CLD), fields)
    assert {"model.prediction", "model.mixed_score"} <= set(mismatch.keys)
    config = follow(wanted, config_of(CLD), config_of, fields)
    assert (config.sde, config.model) == (wanted.sde, wanted.model)


# --- our own files ---------------------------------------------------------------------------------------------


CHANGES = {
    "sde.beta_max": 10.0,
    "sde.schedule": "cosine",
    "model.prediction": "v",
    "model.skip_rescale": False,
    "model.sigma_data": 0.9,
    "data.centered": False,
}


def exported(config, params_of, folder):
    return interop.export(traverse_util.unflatten_dict(params_of(config), sep="/"), config, folder)


def trained(config, params_of, folder):
    import optax

    from training.checkpoint import Checkpoints
    from training.state import TrainState

    tree = traverse_util.unflatten_dict(params_of(config), sep="/")
    checkpoints = Checkpoints(folder / "checkpoints", keep_last=2)
    checkpoints.save(TrainState.create(tree, optax.sgd(1.0), (0.9,)), position=0, config=config)
    checkpoints.close()
    return folder


@pytest.mark.parametrize("make", [exported, trained])
def test_our_own_files_know_their_config(config, params_of, tmp_path, make):
    path = make(config, params_of, tmp_path)
    interop.load(path, config)
    for key, value in CHANGES.items():
        other = config.copy_and_resolve_references()
        other.update_from_flattened_dict({key: value})
        with pytest.raises(ValueError, match=f"set --config.{key}="):
            interop.load(path, other)
    config.sde.t_min, config.model.dropout, config.model.dtype, config.sampling.nfe = 1e-4, 0.0, "bfloat16", 7
    interop.load(path, config)
    with pytest.raises(ValueError, match="sde.name is 've', the file needs 'vp'; .*one of configs/vp/"):
        interop.load(path, get_config("ve", "ncsnpp"))


def test_keys_and_values_of_a_strange_export(config, params_of, tmp_path):
    path = exported(config, params_of, tmp_path)
    description = json.loads((path / "config.json").read_text())
    description["config"]["eval"] = ["raw"]
    description["config"]["model"] |= {"a.b\n": 1, "nonlinearity": "\x1b[2J"}
    (path / "config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"set --config.model.nonlinearity='\\x1b\[2J' \(the config has 'swish'\)$"):
        interop.load(path, config)
    del description["config"]["model"]["nonlinearity"]
    (path / "config.json").write_text(json.dumps(description))
    assert interop.load_with_kind(path, config)[1] == "unknown"


def test_our_own_network_of_a_published_size_under_another_process(config_of):
    """configs/vp/ has networks of these shapes, but the file says that it is of another process."""
    fields = {"sde.name": "blur", "model.prediction": "eps"}
    mismatch = advice(config_of(VP), config_of(VP), fields)
    assert mismatch.summary().endswith("or one of configs/blur/")


def test_a_run_without_its_config_is_told_by_its_shapes(config, params_of, tmp_path):
    path = trained(config, params_of, tmp_path)
    (meta,) = path.glob("checkpoints/*/meta/metadata")
    meta.unlink()
    config.sde.beta_max = 10.0
    interop.load(path, config)


def test_heads_of_our_own_unets(params_of, tmp_path):
    config = get_config("vp", "unet")
    config.data.image_size = 8
    config.model.update(num_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=())
    path = exported(config, params_of, tmp_path)
    config.model.num_heads = 2
    with pytest.raises(ValueError, match="set --config.model.num_heads=4"):
        interop.load(path, config)


def test_the_report_says_what_the_parameters_are(config, params_of, tmp_path):
    config.eval.params = "raw"
    assert "raw parameters" in interop.report(exported(config, params_of, tmp_path / "a"), config)
    run = trained(config, params_of, tmp_path / "b")
    assert [interop.load_with_kind(run, config, params)[1] for params in ("ema", "raw")] == ["ema", "raw"]
