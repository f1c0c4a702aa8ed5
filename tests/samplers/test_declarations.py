"""What samplers declare: their settings, what depends on them, and the networks that they take."""

import ast
import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import samplers
from configs.dddm import digits
from engine.bound_bits import BoundBits
from engine.experiment import Experiment
from engine.flow_bits import FlowBits
from engine.latents import Latents
from samplers import SAMPLERS, coefficients, grids
from samplers.base import ChainNetwork, DirectNetwork, EpsFunction
from samplers.deis import RK
from samplers.exponential import Recursion
from sde_lib import CLD, SDES
from tests.conftest import ROOT
from tests.modes.exact import digits_config, exact_experiment
from tests.samplers.test_fixed_point import Contraction

PROCESSES = {name: SDES[name](image_shape=(2, 2)) for name in SDES}


def built(method, **settings):
    """The sampler of the first process that suits it."""
    chosen = SAMPLERS[method]
    return chosen(next(sde for sde in PROCESSES.values() if chosen.processes.accept(sde)), **settings)


def no_eps(u, t):
    raise AssertionError("evaluated")


@pytest.mark.parametrize("method", SAMPLERS)
def test_settings_are_keyword_only_and_all_that_a_sampler_is_made_of(method):
    """The constructor's own signature, against what the table and the check of the command line read."""
    parameters = dict(inspect.signature(SAMPLERS[method]).parameters)
    assert parameters.pop("sde").kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert [name for name in parameters if name not in samplers.INSIDE] == samplers.config_keys(
        method
    ) and "trajectory" in parameters
    sampler = built(method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sampler.trajectory = True
    assert sampler.order >= (0 if sampler.takes is DirectNetwork else 1)
    assert sampler.nfe_per_step >= 1 and sampler.stochastic in (True, False)


@pytest.mark.parametrize(
    ("method", "settings", "attribute", "value"),
    [
        ("gddim", {"deis_order": 3}, "order", 4),
        ("order0", {}, "order", 1),
        ("gddim_pece", {"deis_order": 0}, "order", 2),
        ("rho_rk", {"rk_method": "4rk"}, "nfe_per_step", len(RK["4rk"][2])),
        ("pc", {"corrector": "none", "n_steps_each": 3}, "nfe_per_step", 1),
        ("pc", {"predictor": "none", "n_steps_each": 3}, "nfe_per_step", 3),
        ("sdeis", {"lambda_coef": 0.0}, "stochastic", False),
        ("heun", {"s_churn": 1.0}, "stochastic", True),
        ("ddim", {"eta": 0.5}, "stochastic", True),
    ],
)
def test_what_depends_on_settings(method, settings, attribute, value):
    assert getattr(built(method, **settings), attribute) == value
    assert isinstance(getattr(SAMPLERS[method], attribute), (str, int))  # what the table shows


@pytest.mark.parametrize("method", SAMPLERS)
def test_another_kind_of_network_is_refused_before_it_is_evaluated(method):
    """Each takes its own kind, and says in one line why not the other."""
    sampler, direct = built(method), SAMPLERS[method].takes is DirectNetwork
    own, other = (Contraction(), no_eps) if direct else (no_eps, Contraction())
    assert isinstance(sampler.check(own), sampler.takes)
    message = "needs a network with config.model.prediction=direct" if direct else "gives no eps"
    for refuse in (sampler.check, lambda network: sampler(network, jax.random.key(0), jnp.zeros((1, 2, 2, 1)))):
        with pytest.raises(ValueError, match=message):
            refuse(other)


def test_linnets_networks_are_what_their_prediction_makes_them(tmp_path):
    network = exact_experiment(digits_config(), tmp_path).eps_net
    eps = network.bind(None)
    assert isinstance(eps, EpsFunction) and isinstance(eps, ChainNetwork) and not isinstance(eps, DirectNetwork)


def test_a_mode_refuses_a_network_of_another_kind_when_it_builds_the_sampler(tmp_path):
    experiment = exact_experiment(digits_config(sampling={"method": "fixed_point", "nfe": 1}), tmp_path)
    with pytest.raises(ValueError, match="needs a network with config.model.prediction=direct"):
        _ = experiment.sampler


@pytest.mark.parametrize(
    "build",
    [
        lambda e: e.sampler_with(method="gddim"),
        lambda e: e.sampler_with(method="ddim"),
        lambda e: Latents(e.config, e.sde, e.eps_net, e.sampler, {}),
        lambda e: FlowBits(e.config, e.sde, e.eps_net, e.shape),
        lambda e: BoundBits(e.config, e.sde, e.eps_net, e.shape),
    ],
)
def test_what_needs_eps_refuses_a_network_of_dddm_before_the_work(build):
    """Nothing is evaluated: there are no parameters."""
    experiment = Experiment(digits.get_config())
    assert isinstance(experiment.eps_net.bind(None), experiment.sampler.takes)
    with pytest.raises(ValueError, match="'direct' gives no eps: sample from it with config.sampling.method=fixed_po"):
        build(experiment)


def test_a_multistep_method_is_its_table():
    """Order 0 written down once more: the same rows, settings and evaluations as the library's."""

    class Mine(Recursion):
        def table(self, times, past=()):
            return coefficients.multistep(self.sde, times, 0)

    mine, order0 = (method(CLD(), nfe=7, ts_order=3) for method in (Mine, SAMPLERS["order0"]))
    assert mine.nfe == order0.nfe == 7
    jax.tree.map(np.testing.assert_array_equal, mine.rows, order0.rows)


def test_the_table_shows_aliases():
    shown = {line[:20].partition("  ")[0].rstrip() for line in samplers.table().splitlines()}
    assert {"gddim", "deis = gddim", "mldeis = gddim", "ldeis"} <= shown


def test_hybrid_is_a_grid_like_the_others():
    """That of the method of its name; ratios are settings of that method."""
    sampler = SAMPLERS["gddim"](CLD(), nfe=21, grid="hybrid", ts_order=2)
    np.testing.assert_array_equal(sampler.rows.times, SAMPLERS["hybdeis"](CLD(), nfe=21, ts_order=2).rows.times)
    np.testing.assert_array_equal(sampler.rows.times, grids.hybrid(CLD(), 20, 2, 0.3, 0.3))


@pytest.mark.parametrize("module", [coefficients, grids])
def test_host_mathematics_does_without_jax(module):
    imported = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Import)]
    assert {name.name for node in imported for name in node.names} <= {"numpy", "dataclasses"}


def test_samplers_ask_networks_for_nothing_that_is_not_declared():
    """No probing by name: what may be asked is in the protocols of samplers.base."""
    sources = {path.name: path.read_text() for path in sorted((ROOT / "samplers").glob("*.py"))}
    assert "base.py" in sources
    assert not [name for name, text in sources.items() if "getattr(" in text or "hasattr(" in text]
    assert [name for name, text in sources.items() if "__setattr__" in text] == ["base.py"]
