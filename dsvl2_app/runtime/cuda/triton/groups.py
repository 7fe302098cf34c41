"""Experts of a prompt: pairs of a token and an expert sorted by expert, their products, and the sums of what they made.

T tokens, K active experts, P = T * K pairs, E experts, D inputs, F outputs.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import await_inputs, load_scales, multiply
from dsvl2_app.runtime.cuda.triton.experts import choose


@triton.jit
def choose_each(
    logits,  # [T, E] float32, of the router
    bias,  # [E] float32
    experts,  # [T, K]
    weights,  # [T, K] float32
    scaling,
    E: tl.constexpr,
    K: tl.constexpr,
    E_WIDE: tl.constexpr,
    SIGMOID: tl.constexpr,
    BIASED: tl.constexpr,
    NORMALISE: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The experts of each token and their weights."""
    token = tl.program_id(0)
    await_inputs(OVERLAP)
    choose(
        logits + token * E, bias, experts + token * K, weights + token * K, scaling,
        E, K, E_WIDE, SIGMOID, BIASED, NORMALISE,
    )  # fmt: skip


@triton.jit(do_not_specialize=["P"])
def count_pairs(experts, counts, P, E: tl.constexpr, PAIRS: tl.constexpr, OVERLAP: tl.constexpr):
    """How many of the pairs [P] each expert has."""
    pairs = tl.program_id(0) * PAIRS + tl.arange(0, PAIRS)
    there = pairs < P
    await_inputs(OVERLAP)
    chosen = tl.load(experts + pairs, mask=there, other=0)
    tl.atomic_add(counts + chosen, 1, mask=there, sem="relaxed")


@triton.jit(do_not_specialize=["P"])
def place_pairs(
    experts,  # [P]
    counts,  # [2, E] int32, the first half as `count_pairs` leaves it, the second zeros
    order,  # [P] int32: pairs by expert; those of one expert are in no order, of which no product depends
    starts,  # [E + 1] int32: where in `order` those of each expert begin
    P,
    E: tl.constexpr,
    E_WIDE: tl.constexpr,
    PAIRS: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    program = tl.program_id(0)
    pairs, each = program * PAIRS + tl.arange(0, PAIRS), tl.arange(0, E_WIDE)
    there = pairs < P
    await_inputs(OVERLAP)
    own = tl.load(counts + each, mask=each < E, other=0)
    first = tl.cumsum(own, 0) - own
    chosen = tl.load(experts + pairs, mask=there, other=0).to(tl.int32)
    begin = tl.gather(first, chosen, 0)
    place = begin + tl.atomic_add(counts + E + chosen, 1, mask=there, sem="relaxed")
    tl.store(order + place, pairs, mask=there)
    if program == 0:
        tl.store(starts + each, first, mask=each < E)
        tl.store(starts + E, P)


@triton.jit
def _find_block(starts, block, E: tl.constexpr, E_WIDE: tl.constexpr, ROWS: tl.constexpr):
    """The expert of a block of `ROWS` pairs, E beyond the last one; the first of its pairs, and where the expert's end.
    Every expert's pairs begin a block."""
    each = tl.arange(0, E_WIDE)
    begin = tl.load(starts + each, mask=each < E, other=0)
    end = tl.load(starts + each + 1, mask=each < E, other=0)
    blocks = (end - begin + ROWS - 1) // ROWS
    until = tl.cumsum(blocks, 0)
    expert = tl.minimum(tl.sum((until <= block).to(tl.int32), 0), E)
    own = each == expert
    first = tl.sum(tl.where(own, begin + (block - until + blocks) * ROWS, 0), 0)
    return expert, first, tl.sum(tl.where(own, end, 0), 0)


@triton.jit
def enter_groups(
    rows,  # [T, D]
    order,  # [P] int32, as `place_pairs` leaves it
    starts,  # [E + 1] int32
    weights,  # [E, 2 F, D], gates before ups
    scales,  # [E, 2 F] float32, where weights are int8
    out,  # [P, F], by expert
    D: tl.constexpr,
    F: tl.constexpr,
    E: tl.constexpr,
    K: tl.constexpr,
    E_WIDE: tl.constexpr,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Gate and up projections and SwiGLU: `OUTPUTS` channels of one expert for `ROWS` of its pairs."""
    channels, columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, WIDTH)
    await_inputs(OVERLAP)
    expert, first, last = _find_block(starts, tl.program_id(1), E, E_WIDE, ROWS)
    if expert < E:
        members = first + tl.arange(0, ROWS)
        there, real = members < last, channels < F
        sources = tl.load(order + members, mask=there, other=0) // K
        channel = expert.to(tl.int64) * 2 * F
        gates = weights + (channel + channels[:, None]) * D + columns[None, :]
        inputs = rows + sources[:, None] * D + columns[None, :]
        sums, ups = tl.zeros((ROWS, OUTPUTS), tl.float32), tl.zeros((ROWS, OUTPUTS), tl.float32)
        for at in range(0, D, WIDTH):
            mask, inside = real[:, None], there[:, None]
            if D % WIDTH != 0:
                mask, inside = mask & (at + columns < D)[None, :], inside & (at + columns < D)[None, :]
            left = tl.load(inputs + at, mask=inside, other=0)
            sums += multiply(left, tl.load(gates + at, mask=mask, other=0), True)
            ups += multiply(left, tl.load(gates + F * D + at, mask=mask, other=0), True)
        sums *= load_scales(scales + channel, channels, real, SCALED)[None, :]
        ups *= load_scales(scales + channel + F, channels, real, SCALED)[None, :]
        inner = sums * tl.sigmoid(sums) * ups
        targets = out + members[:, None] * F + channels[None, :]
        tl.store(targets, inner.to(out.dtype.element_ty), mask=there[:, None] & real[None, :])


@triton.jit
def leave_groups(
    rows,  # [P, D], as `enter_groups` leaves them
    order,
    starts,
    weights,  # [E, F, D]
    scales,  # [E, F] float32, where weights are int8
    out,  # [P, F], in the order of pairs
    D: tl.constexpr,
    F: tl.constexpr,
    E: tl.constexpr,
    E_WIDE: tl.constexpr,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The down projection: `OUTPUTS` channels of one expert for `ROWS` of its pairs."""
    channels, columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, WIDTH)
    await_inputs(OVERLAP)
    expert, first, last = _find_block(starts, tl.program_id(1), E, E_WIDE, ROWS)
    if expert < E:
        members = first + tl.arange(0, ROWS)
        there, real = members < last, channels < F
        channel = expert.to(tl.int64) * F
        matrix = weights + (channel + channels[:, None]) * D + columns[None, :]
        inputs = rows + members[:, None] * D + columns[None, :]
        sums = tl.zeros((ROWS, OUTPUTS), tl.float32)
        for at in range(0, D, WIDTH):
            mask, inside = real[:, None], there[:, None]
            if D % WIDTH != 0:
                mask, inside = mask & (at + columns < D)[None, :], inside & (at + columns < D)[None, :]
            tile = tl.load(matrix + at, mask=mask, other=0)
            sums += multiply(tl.load(inputs + at, mask=inside, other=0), tile, True)
        sums *= load_scales(scales + channel, channels, real, SCALED)[None, :]
        pairs = tl.load(order + members, mask=there, other=0)
        targets = out + pairs[:, None] * F + channels[None, :]
        tl.store(targets, sums.to(out.dtype.element_ty), mask=there[:, None] & real[None, :])


@triton.jit
def sum_pairs(
    outputs,  # [T * K, D]
    weights,  # [T, K] float32
    out,  # [T, D]
    D: tl.constexpr,
    K: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The weighted sum of what a token's experts made."""
    columns, token = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.program_id(1)
    inside = columns < D
    await_inputs(OVERLAP)
    sums = tl.zeros((WIDTH,), tl.float32)
    for choice in tl.static_range(K):
        weight = tl.load(weights + token * K + choice)
        sums += tl.load(outputs + (token * K + choice) * D + columns, mask=inside, other=0).to(tl.float32) * weight
    tl.store(out + token * D + columns, sums.to(out.dtype.element_ty), mask=inside)
