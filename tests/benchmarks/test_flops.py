"""The count of convolutions and matrix products, on what can be counted by hand."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.flops import count, meetings, traffic


def flops(function, *shapes, dtype=jnp.float32):
    return count(jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)))


def conv(x, kernel, **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    options = {"window_strides": (1, 1), "padding": "SAME"} | options
    return jax.lax.conv_general_dilated(x, kernel, dimension_numbers=numbers, **options)


def test_products():
    assert flops(lambda a, b: a @ b, (5, 7), (7, 3)) == {"float32": 2 * 5 * 7 * 3}
    attention = flops(lambda q, k: jnp.einsum("bqhc,bkhc->bhqk", q, k), (2, 9, 4, 6), (2, 8, 4, 6), dtype=jnp.bfloat16)
    assert attention == {"bfloat16": 2 * (2 * 4) * 9 * 8 * 6}


def test_the_traffic_of_a_product_is_its_factors_and_its_result():
    a, b = jnp.zeros((5, 7), jnp.bfloat16), jnp.zeros((7, 3), jnp.bfloat16)
    three = jax.make_jaxpr(lambda a, b: jax.lax.scan(lambda c, _: (c, a @ b), 0, None, length=3))(a, b)
    assert count(three, traffic) == {"bfloat16": 3 * 2 * (5 * 7 + 7 * 3 + 5 * 3)}


def test_a_convolution_meets_no_padding():
    """3 x 3 on 8 x 8: of 24 pairs along an axis two lie outside."""
    assert flops(conv, (2, 8, 8, 3), (3, 3, 3, 5)) == {"float32": 2 * 2 * 22**2 * 3 * 5}
    assert flops(conv, (2, 8, 8, 3), (1, 1, 3, 5)) == {"float32": 2 * 2 * 8**2 * 3 * 5}


def test_strides_groups_and_dilations():
    strided = flops(
        lambda x, k: conv(x, k, window_strides=(2, 2), padding=((0, 1), (0, 1))), (1, 8, 8, 3), (3, 3, 3, 5)
    )
    assert strided == {"float32": 2 * 11**2 * 3 * 5}  # outputs at 0, 2, 4, 6; the last meets one tap less
    grouped = flops(lambda x, k: conv(x, k, feature_group_count=4), (1, 8, 8, 4), (3, 3, 1, 4))
    assert grouped == {"float32": 2 * 22**2 * 4}
    assert meetings(4, 3, 7, padding=1, stride=1, hole=2, spread=1) == 10  # a transposed convolution: no holes


def test_gradients_cost_what_the_forward_pass_does():
    """Of stride 1: the same pairs, once for the image and once for the kernel."""
    gradient = jax.grad(lambda x, k: (conv(x, k) ** 2).sum(), argnums=(0, 1))
    assert flops(gradient, (2, 8, 8, 3), (3, 3, 3, 5)) == {"float32": 3 * 2 * 2 * 22**2 * 3 * 5}


def test_inside_loops_branches_and_functions_of_functions():
    def one(a):
        return a @ a

    once = 2 * 4**3
    assert flops(lambda a: jax.lax.scan(lambda c, _: (one(c), None), a, None, length=6)[0], (4, 4)) == {
        "float32": 6 * once
    }
    assert flops(jax.jit(jax.checkpoint(one)), (4, 4)) == {"float32": once}
    assert flops(lambda a: jax.lax.cond(a[0, 0] > 0, one, lambda a: one(one(a)), a), (4, 4)) == {"float32": 2 * once}
    custom = jax.custom_jvp(one)
    custom.defjvp(lambda primals, tangents: (custom(*primals), one(*tangents)))
    assert flops(custom, (4, 4)) == {"float32": once}
    assert flops(jnp.exp, (4, 4)) == {}
    with pytest.raises(ValueError, match="loop of unknown length"):
        flops(lambda a: jax.lax.while_loop(lambda a: a[0, 0] > 0, one, a), (4, 4))
