"""Modes with a network of one process under another one: exact VP networks, whose answers are known under both."""

import json

import jax
import numpy as np
import pytest

from engine import record
from engine.experiment import Experiment
from linnet import interop
from modes import encode, export, interpolate, sample, train
from modes import eval as eval_mode
from tests.modes.exact import CLASS_MEANS, digits_config, exact_experiment
from tests.modes.test_record import experiment as with_weights

SPREAD = 0.01


def config(process, own="vp", **groups):
    """Digits under `process`, by a network of classes of the process `own`."""
    c = digits_config(process, model={"num_classes": 10}, **groups)
    c.network_sde = digits_config(own).sde if own else c.network_sde
    return c


def reports(folder, name):
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("process", ["cld", "hold", "ve", "flow"])
def test_samples_are_those_of_the_data(process, tmp_path):
    """Images of class c have the mean of their class and the deviation of the data; guidance 2 doubles the mean's
    distance from that of no class, which is the mean of the last one here."""
    c = config(process, sampling={"nfe": 40, "guidance": 2.0}, eval={"num_samples": 30, "batch_size": 30})
    sample.run(exact_experiment(c, tmp_path, spread=SPREAD))
    x = np.load(tmp_path / "samples_00000.npz")["samples"] / 127.5 - 1
    means = CLASS_MEANS[-1] + 2 * (CLASS_MEANS - CLASS_MEANS[-1])
    inside = np.abs(means) < 0.6  # six deviations from where pixels are clipped
    gap = x.reshape(3, 10, 64)[:, inside] - means[inside, None]
    assert np.abs(gap.mean((0, 2))).max() < 5 * np.sqrt(SPREAD / (3 * 64))
    assert gap.std() == pytest.approx(np.sqrt(SPREAD), rel=0.1)
    assert reports(tmp_path, "sampling.json")["network_sde"]["name"] == "vp"


def test_images_are_encoded_under_the_other_process(tmp_path):
    c = config("ve", eval={"flow_tolerance": 1e-5, "num_images": 4})
    encode.run(exact_experiment(c, tmp_path, spread=0.1))
    report = reports(tmp_path, "encode.json")
    assert report["rms_error"] < 1e-2
    assert (report["sde"]["name"], report["network_sde"]["name"]) == ("ve", "vp")
    interpolate.run(exact_experiment(config("flow", eval={"flow_tolerance": 1e-2}), tmp_path, spread=0.1))
    assert (tmp_path / "interpolate.png").exists()


def test_the_bits_of_images_are_those_of_the_own_process(tmp_path):
    """The density does not depend on the process: flows from noise 1e-3 to 152.17, where both priors lack the mean."""
    bits = []
    for process, own, sde in (("vp", "", {}), ("edm", "vp", {"sigma_max": 152.167})):
        c = config(
            process,
            own,
            sde=sde,
            training={"t_min": 1e-5},
            eval={"flow_tolerance": 1e-5},
        )
        eval_mode.run(exact_experiment(c, tmp_path / process, spread=0.1))
        bits.append(reports(tmp_path / process, "eval.json")["bits_per_dim"])
    assert bits[1] == pytest.approx(bits[0], abs=2e-3)


def test_results_lie_apart_and_are_told_by_content(tmp_path):
    def made(c):
        experiment = with_weights(c)
        experiment.paths.workdir = str(tmp_path)
        return experiment

    plain, carried = made(config("subvp", "")), made(config("subvp", "vp"))
    wider = config("subvp", "vp")
    wider.network_sde.beta_max = 21.0
    folders = [e.sample_folder() for e in (plain, carried, made(wider))]
    folders += [e.results("eval") for e in (plain, carried, made(wider))]
    assert len(set(folders)) == 6
    assert "network_sde" not in plain.made_by()
    for first, second in ((plain, carried), (carried, plain)):
        folder = tmp_path / f"{first.is_carried}"
        folder.mkdir()
        np.savez(folder / "samples_00000.npz", samples=np.zeros((8, 8, 8, 1), np.uint8))
        record.write(folder, first.made_by())
        with pytest.raises(ValueError, match="made with another network_sde"):
            record.claim(folder, second.made_by())


def test_the_same_process_twice_is_the_plain_one():
    made = Experiment(config("vp", "vp"))
    assert not made.is_carried and made.carried is made.eps_net


def test_an_export_is_of_the_process_that_the_network_was_trained_under(tmp_path):
    export.run(with_weights(config("cld"), tmp_path))
    kept = reports(tmp_path, "config.json")["config"]
    assert (kept["sde"]["name"], kept["network_sde"]) == ("vp", {"name": ""})


@pytest.mark.parametrize(("own", "process"), [("cld", "hold"), ("hold", "subvp"), ("subvp", "pld")])
def test_a_network_of_other_components_is_told_how_to_be_used(own, process, tmp_path):
    """In one line; and with the group that it names, the network is read."""
    written = config(own, "")
    written.model.update(nf=8, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=())
    made = Experiment(written)
    tree = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), jax.eval_shape(made.create_state).params)
    interop.export(tree, written, str(tmp_path))
    plain = config(process, "")
    plain.model = written.model
    with pytest.raises(ValueError) as caught:
        Experiment(plain, ckpt=str(tmp_path)).trained  # noqa: B018
    first = str(caught.value).splitlines()[0]
    assert f"config.sde.name is '{process}', the file needs '{own}'" in first
    assert f"to make images under {process} with it, name its own process by --config.network_sde.name" in first
    carried = config(process, own)
    carried.model = written.model
    assert Experiment(carried, ckpt=str(tmp_path)).trained.params.keys() == tree.keys()
    carried.network_sde = config("ve", "").sde
    with pytest.raises(ValueError, match="config.network_sde.name is 've', the file needs"):
        Experiment(carried, ckpt=str(tmp_path)).trained  # noqa: B018


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="training is under config.sde: leave config.network_sde out"):
        train.run(Experiment(config("cld"), str(tmp_path)))
    for process, own in (("blur", "vp"), ("cld", "blur")):
        with pytest.raises(ValueError, match="noise of Blur differs between frequencies"):
            sample.run(exact_experiment(config(process, own), tmp_path))
    c = config("vp", "subvp")
    c.model.update(prediction="direct", concat=True)
    with pytest.raises(ValueError, match="gives no eps: it is sampled under its own process"):
        Experiment(c).carried  # noqa: B018
