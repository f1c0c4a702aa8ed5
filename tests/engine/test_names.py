"""Names that a config may give are looked up when an experiment is opened."""

import itertools

import pytest

from configs import default, rules
from configs.cld.digits import get_config
from engine import names
from engine.experiment import Experiment
from linnet.config_keys import known


@pytest.mark.parametrize("process", default.SDE)
@pytest.mark.parametrize("network", default.MODEL)
def test_the_defaults_are_registered(process, network):
    names.check(default.get_config(process, network))


def test_names_and_rules_are_of_keys_that_there_are():
    pairs = itertools.product(default.SDE, default.MODEL)
    keys = {key for sde, model in pairs for key in known({"sde": {"name": sde}, "model": {"name": model}})[1]}
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
    with pytest.raises(ValueError, match=rf"config\.{key}='{name}' is unknown \(did you mean '{meant}'\?\)"):
        Experiment(config)
