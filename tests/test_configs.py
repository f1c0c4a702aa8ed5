"""Every experiment file builds: process, network, sampler, and the shapes of a whole training state."""

import copy
import functools
import importlib
import inspect
import re
import shlex

import jax
import jax.numpy as jnp
import pytest
from absl import flags
from ml_collections import config_flags

from configs import default
from engine import names
from engine.experiment import Experiment
from linnet.config_keys import resolve
from models import MODELS
from sde_lib import SDES
from tests.conftest import ROOT
from training.conditions import make_conditions
from training.objectives import get_objective

SHARED = {"comparison", "default", "data_sets", "inverse", "kinds", "processes", "rules", "sampling", "tuning"}
EXPERIMENTS = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for path in (ROOT / "configs").rglob("*.py")
    if path.stem not in SHARED
)


@functools.cache
def built(name, **changes):
    """The Experiment of a file, with `changes` of config.model; no test changes it."""
    config = importlib.import_module(name).get_config()
    config.model.update(changes)
    return Experiment(config)


@pytest.fixture(params=EXPERIMENTS)
def experiment(request):
    return built(request.param)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_loss_and_the_sampler_of_an_experiment_have_the_right_shapes(name):
    """Shapes only are computed, of networks with one block a level: the others of a level are like it."""
    experiment = built(name, num_res_blocks=1)
    shape, sde = experiment.shape, experiment.sde
    params = jax.eval_shape(lambda: experiment.eps_net.init(jax.random.key(0), shape))
    objective = get_objective(experiment.config, experiment.eps_net)
    x, t = jnp.zeros((2, *shape)), jnp.full(2, 0.5)
    keys = jax.random.split(jax.random.key(0), 2)
    condition = make_conditions(experiment.config)({"label": jnp.zeros(2, int)}, x, None)
    losses = jax.eval_shape(lambda p: objective.losses(p, x, keys, t, condition=condition), params)
    assert losses.shape == (2,) and losses.dtype == jnp.float32
    if not objective.draws:
        return
    u_T = jax.eval_shape(lambda: sde.prior(jax.random.key(0), (2, *shape)))

    def sample(params, u):
        direct = experiment.config.model.prediction == "direct"
        eps_fn = experiment.eps_net.bind(params, condition) if direct else lambda u, t: jnp.zeros_like(u)
        return experiment.sampler(eps_fn, keys, u).u

    u = jax.eval_shape(sample, params, u_T)
    assert u.shape == u_T.shape


def test_it_sets_no_key_without_effect(experiment):
    names.settle(copy.deepcopy(experiment.config), ())


def test_its_values_are_those_that_the_rules_take(experiment):
    assert resolve(experiment.config.to_dict()).to_dict() == experiment.config.to_dict()


def test_the_classifier_of_digits_is_for_digits(experiment):
    config = experiment.config
    assert (config.eval.extractor == "digits") == (config.data.dataset == "digits")


def test_the_docstring_gives_the_command(experiment, request):
    name = request.node.callspec.params["experiment"]
    if name != "configs.accr_dcifar10_config":
        assert f"--config={name.replace('.', '/')}.py --mode=train" in importlib.import_module(name).__doc__


def commands(text):
    """The commands in a docstring, each a list of words; a line that ends in a back slash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("python main.py")]


def with_flags(experiment, words, monkeypatch):
    """An Experiment with those `words` that are --config.group.key=value, as the command line reads them."""
    values, argv = flags.FlagValues(), ["main.py", *(word for word in words if word.startswith("--config."))]
    monkeypatch.setattr("sys.argv", argv)  # where ml_collections looks for the keys that are to be flags
    config_flags.DEFINE_config_dict("config", copy.deepcopy(experiment.config), flag_values=values)
    values(argv)
    return Experiment(values.config, overrides=config_flags.get_override_values(values["config"]))


METHODS = {"predictor-corrector": "pc", "adaptive ODE": "ode", "ancestral sampling": "ddpm"}


def test_the_command_is_the_one_that_gives_the_quoted_number(experiment, request, monkeypatch):
    """Its sampler and number of evaluations are those that the docstring names; all its flags mean something."""
    text = importlib.import_module(request.node.callspec.params["experiment"]).__doc__
    found = [with_flags(experiment, words, monkeypatch) for words in commands(text) if "--mode=train" not in words]
    methods = {made.config.sampling.method for made in found}
    assert all(method in methods for name, method in METHODS.items() if name in text)
    about = " ".join(sentence for sentence in re.split(r"[.:]\s", text) if "FID" in sentence)
    counts = re.findall(r"([\d,]+(?:(?:, |\s+and\s+)[\d,]+)*)[ -](?:evaluations|steps?\b)", about)
    quoted = {int(number.replace(",", "")) for count in counts for number in re.split(r", |\s+and\s+", count)}
    assert not quoted or quoted & {getattr(made.sampler, "nfe", None) for made in found}


@pytest.mark.parametrize("name", SDES)
def test_default_process_keys_are_those_of_the_class(name):
    parameters = {k: p.default for k, p in inspect.signature(SDES[name]).parameters.items()}
    documented = default.SDE[name] | {"image_shape": None}
    assert documented.pop("name") == name
    assert {k: v for k, v in parameters.items() if k != "betas"} == documented


@pytest.mark.parametrize("name", MODELS)
def test_default_network_keys_are_fields(name):
    import dataclasses

    fields = {f.name for f in dataclasses.fields(MODELS[name])}
    assert set(default.MODEL[name]) - set(default.BORDER) - {"name"} <= fields
