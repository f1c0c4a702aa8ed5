"""From a config to a network: values, defaults and refusals."""

import jax
import jax.numpy as jnp
import ml_collections
import pytest

from models import MODELS, create_model


def config_of(name, data=None, **model):
    return ml_collections.ConfigDict({"model": {"name": name, **model}, "data": data or {}})


@pytest.mark.parametrize("name", MODELS)
def test_a_bare_name_builds_the_defaults(name):
    assert create_model(config_of(name)) == MODELS[name]()


def test_fields_are_taken_and_lists_become_tuples():
    net = create_model(
        config_of("ncsnpp", nf=16, ch_mult=[1, 2], attn_resolutions=(8,), ema_rate=0.99, mixed_score=True)
    )
    assert (net.nf, net.ch_mult, net.attn_resolutions) == (16, (1, 2), (8,))


@pytest.mark.parametrize("centered", [True, False])
def test_centered_comes_from_the_data(centered):
    assert create_model(config_of("ddpm", data={"centered": centered})).centered is centered
    create_model(config_of("mlp", data={"centered": centered}))  # a network without the field does not mind


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'ncsnp' is unknown \(did you mean ncsnpp\?\); choose from ncsnpp,"):
        create_model(config_of("ncsnp"))


def test_unknown_keys_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"num_resblocks means nothing to ddpm \(did you mean num_res_b"):
        create_model(config_of("ddpm", num_resblocks=3))
    with pytest.raises(ValueError, match="model.ch_mult means nothing to mlp"):
        create_model(config_of("mlp", ch_mult=(1, 2)))


@pytest.mark.parametrize("name", ["ncsnpp", "ddpm"])
@pytest.mark.parametrize("channels", [1, 6])
def test_output_has_the_shape_of_the_input_for_any_number_of_channels(name, channels):
    net = create_model(config_of(name, nf=8, ch_mult=(1, 1), num_res_blocks=1))
    x = jnp.zeros((1, 4, 4, channels))
    out = jax.eval_shape(lambda x: net.init_with_output(jax.random.key(0), x, jnp.ones(1))[0], x)
    assert (out.shape, out.dtype) == (x.shape, jnp.float32)
