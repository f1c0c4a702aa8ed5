"""Bytes between HBM and the chip, of a program written by hand in XLA's notation."""

import pytest

from benchmarks.hbm import arrays, moved

PROGRAM = """\
HloModule jit_step, is_scheduled=true

%fused (a: f32[8,128], b: f32[8,128]) -> f32[8,128] {
  %a = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %sum = f32[8,128]{1,0:T(8,128)} add(%a, %a)
}

%body (carry: (f32[8,128], f32[8,128])) -> (f32[8,128], f32[8,128]) {
  %carry = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %far = f32[8,128]{1,0:T(8,128)} get-tuple-element(%carry), index=0
  %near = f32[8,128]{1,0:T(8,128)S(1)} get-tuple-element(%carry), index=1
  %fetch = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%far), backend_config={}
  %fetched = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%fetch)
  %part = ((f32[8,128]{1,0:T(8,128)}), f32[2,128]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%far), slice={[0:2]}
  %parted = f32[2,128]{1,0:T(8,128)S(1)} slice-done(%part)
  %inside = f32[8,128]{1,0:T(8,128)S(1)} fusion(%near, %fetched), kind=kLoop, calls=%fused, metadata={op_name="f(%far)"}
  %outside = f32[8,128]{1,0:T(8,128)} fusion(%far, /*index=1*/%inside), kind=kLoop, calls=%fused
  ROOT %next = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) tuple(%outside, %inside)
}

ENTRY %main (x: (f32[8,128], f32[8,128])) -> (f32[8,128], f32[8,128]) {
  %x = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  ROOT %loop = (f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) while(%x), condition=%done, body=%body
}
"""


def test_what_reaches_hbm_is_counted_once():
    """Fetched whole, a quarter that fills a tile, read and written by the fusion outside; nothing by that inside."""
    whole = 8 * 128 * 4
    assert moved(PROGRAM) == whole + whole + 2 * whole


def test_arrays_are_padded_to_their_tiles():
    assert arrays("bf16[128,32,32,6]{0,3,2,1:T(8,128)(2,1)S(1)}") == [(128 * 32 * 32 * 8 * 2, False)]
    assert arrays("(f32[130,3]{1,0:T(8,128)}, s32[], pred[7]{0})") == [(136 * 128 * 4, True), (4, True), (7, True)]


def test_a_program_without_a_loop_is_refused():
    with pytest.raises(ValueError, match="at least two steps"):
        moved("ENTRY %main (x: f32[]) -> f32[] {\n  ROOT %x = f32[] parameter(0)\n}\n")
