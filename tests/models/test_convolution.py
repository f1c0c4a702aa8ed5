"""Convolutions whose kernel gradient is taken in parts, against the convolution of JAX and its own derivatives."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from models import convolution
from tests.conftest import ROOT

CASES = {
    "one axis": ((12, 8, 3), (3,), (1,), ((1, 1),)),
    "images": ((4, 6, 6, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "rows": ((3, 12, 16, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "rows, strided": ((2, 16, 16, 3), (3, 3), (2, 2), ((0, 1), (0, 1))),
    "rows, an even kernel": ((2, 12, 16, 3), (2, 2), (1, 1), ((1, 0), (0, 1))),
    "rows, valid": ((2, 17, 17, 3), (3, 3), (2, 2), ((0, 0), (0, 0))),
    "three axes": ((4, 4, 4, 6, 3), (3, 3, 3), (1, 2, 2), ((1, 1), (0, 1), (1, 1))),
}


def drawn(case, dtype=jnp.float32):
    """x, kernel, plain(x, kernel) and ours(x, kernel) of a case."""
    shape, taps, strides, padding = CASES[case]
    layout = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}[len(taps)]
    x = jax.random.normal(jax.random.key(0), shape, dtype)
    kernel = jax.random.normal(jax.random.key(1), (*taps, 3, 4), dtype)

    def plain(x, kernel):
        return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)

    return x, kernel, plain, lambda x, kernel: convolution.convolve(x, kernel, strides, padding)


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of about 36 outputs, so that small arrays have several."""
    monkeypatch.setattr(convolution, "POSITIONS", 36)


@pytest.mark.parametrize("case", CASES)
def test_all_derivatives_are_those_of_the_plain_convolution(case, small_parts):
    """The value, both gradients, and forward mode; sums of up to 2,000 float32 terms in another order: 2e-6 of all."""
    x, kernel, plain, ours = drawn(case)
    y = plain(x, kernel)
    images, rows = convolution.part_of(y.shape)
    assert (images, rows) != y.shape[:2]
    assert (rows < y.shape[1]) == case.startswith("rows")
    cotangent = jax.random.normal(jax.random.key(2), y.shape)

    def found(function, x, kernel):
        value, pullback = jax.vjp(function, x, kernel)
        return value, *pullback(cotangent), *jax.jvp(function, (x, kernel), (jnp.cos(x), jnp.cos(kernel)))

    both = (jax.jit(lambda *arguments, f=function: found(f, *arguments))(x, kernel) for function in (ours, plain))
    for got, want in zip(*both, strict=True):
        np.testing.assert_allclose(got, want, atol=2e-6 * float(abs(want).max()))


def test_second_derivatives_and_gradients_of_each_example(small_parts):
    x, kernel, plain, ours = drawn("images")

    def found(function, x, kernel):
        def loss(kernel, x):
            return (function(x, kernel) ** 3).mean()

        along = jax.jvp(lambda kernel: jax.grad(loss)(kernel, x), (kernel,), (jnp.cos(kernel),))[1]
        back = jax.grad(lambda kernel: (jax.grad(loss)(kernel, x) ** 2).sum())(kernel)
        return along, back, jax.vmap(jax.grad(loss), (None, 0))(kernel, x[:, None])

    both = (jax.jit(lambda *arguments, f=function: found(f, *arguments))(x, kernel) for function in (ours, plain))
    for got, want in zip(*both, strict=True):  # second derivatives of cubes of sums of 27 terms
        np.testing.assert_allclose(got, want, atol=1e-5 * float(abs(want).max()))


def test_parts_of_bfloat16_are_summed_in_float32(small_parts):
    """One rounding of the result, 2^-9, and one of each part's, which are smaller; not one of every partial sum."""
    x, kernel, plain, ours = drawn("rows", jnp.bfloat16)
    cotangent = jax.random.normal(jax.random.key(2), plain(x, kernel).shape, jnp.bfloat16)
    exact = jax.vjp(plain, *(a.astype(jnp.float32) for a in (x, kernel)))[1](cotangent.astype(jnp.float32))[1]
    got = jax.vjp(ours, x, kernel)[1](cotangent)[1]
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32), exact, atol=2**-8 * float(abs(exact).max()))


def test_only_programs_for_the_cpu_have_parts(small_parts):
    """Decided when a program is lowered, not by the machine that lowers it."""
    x, kernel, _, ours = drawn("images")
    traced = jax.jit(jax.grad(lambda kernel, x: ours(x, kernel).sum())).trace(kernel, x)
    loops = {name: traced.lower(lowering_platforms=(name,)).as_text().count("while") for name in ("cpu", "tpu", "cuda")}
    assert loops["cpu"] > 0
    assert loops["tpu"] == loops["cuda"] == 0


def test_nothing_is_computed_for_a_kernel_that_is_not_trained(small_parts):
    x, kernel, _, ours = drawn("images")
    traced = jax.make_jaxpr(lambda x: jax.jvp(lambda x: ours(x, kernel), (x,), (x,)))(x)
    assert str(traced).count("conv_general_dilated[") == 2  # the value and the tangent of x


@pytest.mark.parametrize("batch", [1, 7, 16, 127, 128])
@pytest.mark.parametrize("side", [8, 28, 32, 64, 256])
def test_parts_are_divisors_of_about_the_best_size(batch, side):
    images, rows = convolution.part_of((batch, side, side, 5))
    assert batch % images == side % rows == 0
    assert images == 1 or rows == side  # several images only whole
    outputs, all_of_them = images * rows * side, batch * side * side
    assert outputs >= min(all_of_them, convolution.POSITIONS / 4)
    assert outputs <= 4 * convolution.POSITIONS  # a prime number of small images stays whole: 127 x 8 x 8


def test_networks_convolve_by_this_function_alone():
    """LPIPS apart, whose kernels are not trained."""
    direct = set()
    for path in (ROOT / "models").glob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        direct |= {path.name} if "conv_general_dilated" in names else set()
    assert direct == {"convolution.py", "lpips.py"}
