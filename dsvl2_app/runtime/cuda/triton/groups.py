"""Products of many rows, sorted by expert, with narrow weights of experts.

P rows, D inputs, F outputs, E experts.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import await_inputs, multiply


@triton.jit
def multiply_narrow(
    rows,  # [P, D]
    weights,  # [E, F, D] int8
    scales,  # [E, F] float32
    starts,  # [E + 1] int32: where in `rows` those of each expert begin
    out,  # [P, F]
    D: tl.constexpr,
    F: tl.constexpr,
    E: tl.constexpr,
    E_WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """`OUTPUTS` channels of one expert for `ROWS` of its rows. A program counts blocks to find its own."""
    channels, block = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.program_id(1)
    each, columns = tl.arange(0, E_WIDE), tl.arange(0, WIDTH)
    await_inputs(OVERLAP)
    begin = tl.load(starts + each, mask=each < E, other=0)
    end = tl.load(starts + each + 1, mask=each < E, other=0)
    blocks = (end - begin + ROWS - 1) // ROWS
    until = tl.cumsum(blocks, 0)
    expert = tl.sum((until <= block).to(tl.int32), 0)
    if expert < E:
        own = each == expert
        first = tl.sum(tl.where(own, begin + (block - until + blocks) * ROWS, 0), 0)
        last = tl.sum(tl.where(own, end, 0), 0)
        members = first + tl.arange(0, ROWS)
        there, real = members < last, channels < F
        matrix = weights + expert.to(tl.int64) * F * D + channels[:, None] * D
        inputs = rows + members[:, None] * D
        sums = tl.zeros((ROWS, OUTPUTS), tl.float32)
        for at in range(0, D, WIDTH):
            inside = at + columns < D
            tile = tl.load(matrix + at + columns[None, :], mask=real[:, None] & inside[None, :], other=0)
            left = tl.load(inputs + at + columns[None, :], mask=there[:, None] & inside[None, :], other=0)
            sums += multiply(left, tile, True)
        sums *= tl.load(scales + expert * F + channels, mask=real, other=0)[None, :]
        targets = out + members[:, None] * F + channels[None, :]
        tl.store(targets, sums.to(out.dtype.element_ty), mask=there[:, None] & real[None, :])
