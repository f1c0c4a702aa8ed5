"""Bytes between a TPU's memory (HBM) and its chip, from the text of a compiled program.

XLA's own "bytes accessed" also counts what stays on the chip. The text says of every array where it lies: S(1) in its
layout is memory of the chip, no S is HBM, T(8,128) the tile that its two last axes are padded to. Of the instructions
of the body of the longest loop, each as scheduled,

    copies and slices (copy-start, slice-start) move what they result in, once where one side is HBM, twice where both
    everything else reads its operands in HBM and writes its results there, once each

A fusion that takes a slice of a larger array is counted with the whole of it, so that the sum is an upper bound.
"""

import math
import re

ITEMSIZE = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
ARRAY = re.compile(rf"({'|'.join(ITEMSIZE)})\[([\d,]*)\](?:\{{([\d,]*)(?::T\((\d+),(\d+)\))?([^}}]*)\}})?")
HEAD = re.compile(r"(?:ENTRY )?%([\w.\-]+) \(.*\{$")
LINE = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*?)\)(?:, |$)")
FREE = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element", "while", "conditional"}
"""Instructions that move nothing themselves; those that end another one (copy-done ...) do not either."""


def arrays(text):
    """[(bytes with padding, whether in HBM)] of the arrays that the text of a type names."""
    found = []
    for dtype, sizes, order, rows, columns, rest in ARRAY.findall(text):
        shape = [int(size) for size in sizes.split(",") if size]
        axes = [int(axis) for axis in order.split(",") if axis]
        for axis, tile in zip(axes, (columns, rows), strict=False):
            shape[axis] = math.ceil(shape[axis] / int(tile or 1)) * int(tile or 1)
        found.append((math.prod(shape) * ITEMSIZE[dtype], "S(" not in rest))
    return found


def computations(text):
    """{name: [(name, type, operation, operands) of each instruction]} of a program's text."""
    found = {}
    for line in text.splitlines():
        head, instruction = HEAD.match(line), LINE.match(line)
        if head:
            current = found.setdefault(head[1], [])
        elif instruction:
            name, kind, operation, operands = instruction.groups()
            current.append((name, kind, operation, set(re.findall(r"%([\w.\-]+)", operands))))
    return found


def moved(text):
    """Bytes that the body of the longest loop of a program's text moves between HBM and chip, at most.

    ValueError for a program without a loop.
    """
    every = computations(text)
    bodies = [every[name] for name in re.findall(r"body=%([\w.\-]+)", text)]
    if not bodies:
        raise ValueError("the program has no loop: a training step needs at least two steps in a dispatch")
    body = max(bodies, key=len)
    types = {name: arrays(kind) for name, kind, _, _ in body}
    return sum(_of_instruction(types, *instruction) for instruction in body)


def _of_instruction(types, name, _, operation, operands):
    if operation in FREE or operation.endswith("-done"):
        return 0
    if operation in ("copy-start", "slice-start"):  # both ends, of which a slice is the smaller one
        (size, here), (other, there), *_ = types[name]
        return min(size, other) * (here + there)
    ends = [*types[name], *(array for operand in operands for array in types.get(operand, []))]
    return sum(size for size, in_hbm in ends if in_hbm)
