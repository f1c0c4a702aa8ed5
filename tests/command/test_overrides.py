"""--config.group.key=value on the command line."""

import pytest

from configs import default
from configs.vp.digits import get_config
from linnet import overrides


def changed(*arguments):
    rest, texts = overrides.split(arguments)
    assert rest == []
    return overrides.apply(get_config(), texts)


def test_what_is_left_for_absl():
    arguments = ["--config=a.py", "--config.optim.lr=1", "--mode", "train", "--config.optim.lr", "-2", "--wandb",
                 "-config.a.b=c=d", "--noconfig.a.c", "--config.a.d"]  # fmt: skip
    rest, texts = overrides.split(arguments)
    assert rest == ["--config=a.py", "--mode", "train", "--wandb"]
    assert texts == {"optim.lr": "-2", "a.b": "c=d", "a.c": "False", "a.d": "True"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("8,16", (8, 16)), ("(8, 16)", (8, 16)), ("[8,16]", (8, 16)), ("0", 0)],
)
def test_image_size(text, value):
    assert changed(f"--config.data.image_size={text}").data.image_size == value


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("0.999,0.99", (0.999, 0.99)), ("(0.5,)", (0.5,))])
def test_ema_rate(text, value):
    assert changed(f"--config.model.ema_rate={text}").model.ema_rate == value


@pytest.mark.parametrize(
    ("argument", "group", "key", "value"),
    [
        ("--config.training.n_iters=1e5", "training", "n_iters", 100_000),
        ("--config.training.n_iters=100_000", "training", "n_iters", 100_000),
        ("--config.optim.lr=3", "optim", "lr", 3.0),
        ("--config.optim.grad_clip=-1", "optim", "grad_clip", -1.0),
        ("--config.training.reduce_mean=0", "training", "reduce_mean", False),
        ("--noconfig.training.reduce_mean", "training", "reduce_mean", False),
        ("--config.training.likelihood_weighting", "training", "likelihood_weighting", True),
        ("--config.model.ch_mult=1,2,2", "model", "ch_mult", (1, 2, 2)),
        ("--config.model.ch_mult=2", "model", "ch_mult", (2,)),
        ("--config.model.attn_resolutions=", "model", "attn_resolutions", ()),
        ("--config.data.classes=dog, cat", "data", "classes", ("dog", "cat")),
        ("--config.data.classes=('dog','cat')", "data", "classes", ("dog", "cat")),
        ("--config.training.snapshot_nfe=1e1,20", "training", "snapshot_nfe", (10, 20)),
        ("--config.sampling.labels=3,5", "sampling", "labels", "3,5"),
        ("--config.sampling.labels=007", "sampling", "labels", "007"),
        ("--config.sampling.corrector=none", "sampling", "corrector", "none"),
        ("--config.sampling.eta=0", "sampling", "eta", 0.0),
        ("--config.sampling.eta=None", "sampling", "eta", None),
        ("--config.sampling.s_max=inf", "sampling", "s_max", float("inf")),
        ("--config.data.path=~/images", "data", "path", "/home/me/images"),
    ],
)
def test_texts_take_the_type_of_their_key(argument, group, key, value, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    found = changed(argument)[group][key]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.training.n_iter=3", "did you mean config.training.n_iters?"),
        ("--config.trainning.n_iters=3", "did you mean training?"),
        ("--config.lr=1", "did you mean config.optim.lr?"),
        ("--config.optim.lrr=1", "did you mean config.optim.lr?"),
        ("--config.sampling.sigma=3", "sigma"),
        ("--config.a.b.c=3", "the groups are"),
        ("--config.optim={'lr': 3}", "config.optim is a group"),
        ("--config.optim.lr=fast", "config.optim.lr='fast' must be a number"),
        ("--config.optim.lr=-1", "must be above 0"),
        ("--config.optim.lr=nan", "must be finite"),
        ("--config.optim.lr=inf", "must be finite"),
        ("--config.training.t_min=0", "must be above 0 and below 1"),
        ("--config.model.dropout=1.5", "must be at least 0 and below 1"),
        ("--config.training.grad_accum=0", "must be at least 1"),
        ("--config.training.keep_checkpoints=0", "must be at least 1"),
        ("--config.training.n_iters=2.5", "must be a whole number"),
        ("--config.training.batch_size=-8", "must be at least 1"),
        ("--config.eval.batch_size=0", "must be at least 1"),
        ("--config.seed=-1", "must be at least 0"),
        ("--config.seed=18446744073709551616", "below 18446744073709551616"),
        ("--config.model.ema_rate=0.9,1", "below 1, or a tuple of such"),
        ("--config.model.ch_mult=(1,2", "must be a tuple like (1, 2)"),
        ("--config.data.image_size=8,8,3", "must be of length 2"),
        ("--config.training.reduce_mean=maybe", "must be True or False"),
        ("--config.eval.stats=s3://bucket/stats.npz", "must be a path of this machine"),
    ],
)
def test_typing_errors(argument, message):
    with pytest.raises(ValueError) as caught:
        changed(argument)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_process_may_change_where_its_keys_are_shared():
    config = changed("--config.sde.name=subvp", "--config.sde.beta_max=10")
    assert (config.sde.name, config.sde.beta_max) == ("subvp", 10.0)


def test_the_process_of_the_network_takes_the_keys_of_the_config_and_leaves_the_other_its_defaults():
    config = get_config()
    config.sde.beta_max = 15.0
    flags = {"sde.name": "cld", "network_sde.name": "vp", "network_sde.beta_min": "0.2"}
    found = overrides.apply(config, flags)
    assert found.network_sde.to_dict() == config.sde.to_dict() | {"beta_min": 0.2}
    assert found.sde.to_dict() == default.SDE["cld"]


def test_a_key_of_the_process_that_another_one_replaces_is_answered_with_both_meanings():
    meant = "means nothing to 'cld'.*; to make images under cld by a network of vp, add --config.network_sde.name=vp"
    with pytest.raises(ValueError, match=meant):
        changed("--config.sde.name=cld", "--config.sde.beta_max=10")


def test_the_process_of_another_network_begins_from_its_defaults():
    found = changed("--config.network_sde.name=ve", "--config.sde.beta_max=9")
    assert found.network_sde.to_dict() == default.SDE["ve"] and found.sde.beta_max == 9


def test_without_a_process_of_its_own_the_network_has_that_of_the_images():
    assert changed().network_sde.to_dict() == {"name": ""}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.network_sde.name=clt", "config.network_sde.name='clt' is unknown (did you mean cld?)"),
        (
            "--config.network_sde.beta_min=1",
            "config.network_sde.beta_min means nothing without config.network_sde.name",
        ),
    ],
)
def test_typing_errors_in_the_process_of_the_network(argument, message):
    with pytest.raises(ValueError) as caught:
        changed(argument)
    assert message in str(caught.value)


@pytest.mark.parametrize(("group", "name", "gone"), [("sde", "ve", "beta_min"), ("model", "mlp", "channel_mult")])
def test_another_process_or_network_begins_from_its_defaults(group, name, gone):
    """What is about the border of networks (averaging, what the output means) stays; keys of the other are gone."""
    found = changed(f"--config.{group}.name={name}", "--config.optim.lr=0.5")
    assert found[group]["name"] == name and gone not in found[group]
    assert found["optim"]["lr"] == 0.5
    if group == "model":
        assert found["model"]["ema_rate"] == changed()["model"]["ema_rate"]
