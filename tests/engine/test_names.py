"""Names that a config may give are looked up when an experiment is opened."""

import itertools

import pytest

from configs import default, rules
from configs.cld.digits import get_config
from configs.toy.rings_cld import get_config as get_rings
from engine import names
from engine.experiment import Experiment
from linnet.config_keys import known


@pytest.mark.parametrize("process", default.SDE)
@pytest.mark.parametrize("network", default.MODEL)
def test_the_defaults_are_registered(process, network):
    names.check(default.get_config(process, network))


def test_names_and_rules_are_of_keys_that_there_are():
    keys = set()
    for sde, model in itertools.product(default.SDE, default.MODEL):
        keys |= known({"sde": {"name": sde}, "network_sde": {"name": sde}, "model": {"name": model}})[1].keys()
    assert names.NAMES.keys() | rules.RULES.keys() <= keys


@pytest.mark.parametrize(
    ("key", "name", "meant"),
    [
        ("sampling.method", "gdim", "gddim"),
        ("sampling.grid", "pwer", "power"),
        ("optim.optimizer", "adam", "Adam"),
        ("eval.params", "EMA", "ema"),
        ("model.prediction", "epsilon", "eps"),
        ("training.objective", "dsn", "dsm"),
    ],
)
def test_the_nearest_name_is_said(key, name, meant):
    config = get_config()
    config.update_from_flattened_dict({key: name})
    with pytest.raises(ValueError, match=rf"config\.{key}='{name}' is unknown \(did you mean {meant}\?\)"):
        Experiment(config)


def rings(**groups):
    config = get_rings()
    for group, changes in groups.items():
        config[group].update(changes)
    return config


@pytest.mark.parametrize(
    "groups",
    [
        {"training": {"vlb_weight": 7.0}},
        {"training": {"memory": "host"}},
        {"data": {"crop": 999}},
        {"data": {"path": "nowhere"}},
        {"sampling": {"s_churn": 3.0}},
        {"sampling": {"eta": 0.5}},
    ],
)
@pytest.mark.parametrize("on_the_command_line", [False, True])
def test_keys_without_effect_are_refused_from_files_and_flags(groups, on_the_command_line):
    ((group, changes),) = groups.items()
    ((key, value),) = changes.items()
    changed = [f"{group}.{key}"] if on_the_command_line else []
    with pytest.raises(ValueError, match=rf"config.{group}.{key}={value!r} means nothing to .*; it takes"):
        Experiment(rings(**groups), overrides=changed)


def test_a_flag_without_effect_is_refused_at_its_default_too():
    with pytest.raises(ValueError, match="config.training.vlb_weight=0.001 means nothing to training.objective='dsm'"):
        Experiment(rings(), overrides=["training.vlb_weight"])


def test_keys_of_another_choice_fall_away_with_it():
    """A file for ddim and a flag for gddim: its eta and respacing are gone, and what both take stays."""
    config = get_config()
    config.sampling.update(method="gddim", eta=0.5, nfe=7)
    sampling = Experiment(config, overrides=["sampling.method"]).config.sampling
    assert sampling.eta is None and sampling.nfe == 7


@pytest.mark.parametrize("key", names.LISTED)
def test_names_are_listed_with_what_they_are(key):
    lines = names.table(key).splitlines()
    assert len([line for line in lines if line.split()[0] != "method"]) == len(names.LISTED[key])
