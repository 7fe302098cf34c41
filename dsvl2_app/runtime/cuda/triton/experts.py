"""The choice of experts, and their products.

B rows, D decoder width, E routed experts, K active ones, N parts of the shared ones, I width inside an expert.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import (
    LOWEST,
    arrives_last,
    await_inputs,
    load_halves,
    load_scales,
    multiply,
    normalise,
    row_columns,
)


@triton.jit
def choose(
    logits, bias, experts, weights, scaling,
    E: tl.constexpr, K: tl.constexpr, E_WIDE: tl.constexpr,
    SIGMOID: tl.constexpr, BIASED: tl.constexpr, NORMALISE: tl.constexpr,
):  # fmt: skip
    """The K best experts of one row, by rank, which is how many are better, and their weights."""
    each = tl.arange(0, E_WIDE)
    real = each < E
    scores = tl.load(logits + each, mask=real, other=0, cache_modifier=".cg")
    if SIGMOID:
        scores = tl.sigmoid(scores)
    else:
        scores = tl.where(real, scores, LOWEST)
        scores = tl.exp(scores - tl.max(scores))
        scores /= tl.sum(scores)
    ranking = scores
    if BIASED:
        ranking += tl.load(bias + each, mask=real, other=0)
    ranking = tl.where(real, ranking, LOWEST)
    better = (ranking[None, :] > ranking[:, None]) | (
        (ranking[None, :] == ranking[:, None]) & (each[None, :] < each[:, None])
    )
    rank = tl.sum(better.to(tl.int32), 1)
    chosen = rank < K
    if NORMALISE:
        scores /= tl.sum(tl.where(chosen, scores, 0.0)) + 1e-20
    tl.store(experts + rank, each, mask=chosen)
    tl.store(weights + rank, scores * scaling, mask=chosen)


@triton.jit
def route(
    row,  # [D]
    norm,  # [D]
    weight,  # [E, D]
    bias,  # [E] float32
    logits,  # [E] float32
    experts,  # [K] int32
    weights,  # [K] float32
    arrivals,  # [1] int32, zero
    eps,
    scaling,
    D: tl.constexpr,
    E: tl.constexpr,
    K: tl.constexpr,
    E_WIDE: tl.constexpr,
    SIGMOID: tl.constexpr,
    BIASED: tl.constexpr,
    NORMALISE: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """RMS norm, router and the choice of experts for a single row."""
    channels, columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), row_columns(WIDTH)
    real, inside = channels < E, columns < D
    places = weight + channels[:, None] * D + columns[None, :]
    tile = tl.load(places, mask=real[:, None] & inside[None, :], other=0)
    gains = tl.load(norm + columns, mask=inside, other=0)
    await_inputs(OVERLAP)
    inputs, squares = normalise(tl.load(row + columns[None, :], mask=inside[None, :], other=0), gains)
    sums = tl.sum(inputs.to(tl.float32) * tile.to(tl.float32), 1)
    tl.store(logits + channels, sums * tl.rsqrt(tl.sum(squares) / D + eps), mask=real)
    if arrives_last(arrivals, tl.num_programs(0)):
        choose(logits, bias, experts, weights, scaling, E, K, E_WIDE, SIGMOID, BIASED, NORMALISE)


@triton.jit(do_not_specialize=["B"])
def choose_experts(
    logits,  # [B, E] float32, of the router
    bias,  # [E] float32
    experts,  # [B * K] int32: pair p is the choice p % K of row p // K
    weights,  # [B * K] float32
    order,  # [B * K] int32: pairs by expert
    starts,  # [E + 1] int32: where in `order` the pairs of each expert begin
    arrivals,  # [1] int32, zero
    scaling,
    B,
    E: tl.constexpr,
    K: tl.constexpr,
    E_WIDE: tl.constexpr,
    PAIRS_WIDE: tl.constexpr,
    SIGMOID: tl.constexpr,
    BIASED: tl.constexpr,
    NORMALISE: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The experts of each row, and who chose which, so that an expert's weights are read once for all of them."""
    row = tl.program_id(0)
    await_inputs(OVERLAP)
    choose(
        logits + row * E, bias, experts + row * K, weights + row * K, scaling,
        E, K, E_WIDE, SIGMOID, BIASED, NORMALISE,
    )  # fmt: skip
    if arrives_last(arrivals, B):
        pairs, each = tl.arange(0, PAIRS_WIDE), tl.arange(0, E_WIDE)
        chosen = tl.load(experts + pairs, mask=pairs < B * K, other=E, cache_modifier=".cg")
        tl.store(order + pairs, tl.sort(chosen * PAIRS_WIDE + pairs) % PAIRS_WIDE, mask=pairs < B * K)
        before = tl.sum((chosen[None, :] < each[:, None]).to(tl.int32), 1)
        tl.store(starts + each, before, mask=each < E)
        tl.store(starts + E, B * K)


@triton.jit(do_not_specialize=["B"])
def multiply_groups(
    rows,  # ENTER: [B, D], else one row per pair and part as in `out`
    norm,  # ENTER: [D]
    order,  # [B * K] int32, as `choose_experts` leaves it
    starts,  # [E + 1] int32
    weights,  # [E, F or 2 F, D]
    scales,  # [E, F or 2 F] float32, where weights are int8
    shared,  # ENTER: [2 N F, D], gates before ups; else [F, N D]
    shared_scales,
    out,  # [B * K + N * B, F]: of each pair, then of each row for each part of the shared experts
    eps,
    B,
    D: tl.constexpr,
    F: tl.constexpr,
    E: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    ENTER: tl.constexpr,
    SCALED: tl.constexpr,
    R: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Into experts (ENTER: RMS norm, gate and up projections, SwiGLU) or out of them (down projection): `OUTPUTS`
    channels of one expert for all who chose it, `R` at a time, or of one of N parts of the shared ones for all rows."""
    block, group = tl.program_id(0), tl.program_id(1)
    channels, columns = block * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, WIDTH)
    real = channels < F
    await_inputs(OVERLAP)
    if group < E:
        first, last = tl.load(starts + group), tl.load(starts + group + 1)
        expert = group.to(tl.int64) * (1 + ENTER) * F
        matrix, scale, stride, up = weights + expert * D, scales + expert, D, F
    else:
        part = group - E
        first = B * K + part * B
        last = first + B
        if ENTER:
            matrix, scale, stride, up = shared + part.to(tl.int64) * F * D, shared_scales + part * F, D, N * F
        else:
            matrix, scale, stride, up = shared + part.to(tl.int64) * D, shared_scales, N * D, F
    own_scales = load_scales(scale, channels, real, SCALED)
    up_scales = load_scales(scale + up, channels, real, SCALED and ENTER)
    for start in range(first, last, R):
        members = start + tl.arange(0, R)
        there = members < last
        pairs = members
        if K > 0:
            pairs = tl.where(
                members < B * K, tl.load(order + members, mask=there & (members < B * K), other=0), members
            )
        sources = pairs
        if ENTER:
            sources = (pairs - B * K) % B
            if K > 0:
                sources = tl.where(pairs < B * K, pairs // K, sources)
        sums, ups = tl.zeros((R, OUTPUTS), tl.float32), tl.zeros((R, OUTPUTS), tl.float32)
        squares = tl.zeros((R,), tl.float32)
        for at in range(0, D, WIDTH):
            inside = at + columns < D
            places = matrix + channels[:, None] * stride + at + columns[None, :]
            mask = real[:, None] & inside[None, :]
            inputs = rows + sources[:, None] * D + at + columns[None, :]
            inputs = tl.load(inputs, mask=there[:, None] & inside[None, :], other=0)
            if ENTER:
                gate, raised = load_halves(places, up * D, mask)
                inputs, more = normalise(inputs, tl.load(norm + at + columns, mask=inside, other=0))
                squares += more
                sums += multiply(inputs, gate, True)
                ups += multiply(inputs, raised, True)
            else:
                sums += multiply(inputs, tl.load(places, mask=mask, other=0), True)
        sums *= own_scales[None, :]
        if ENTER:
            root = tl.rsqrt(squares / D + eps)[:, None]
            sums, ups = sums * root, ups * root * up_scales[None, :]
            sums *= tl.sigmoid(sums) * ups
        targets = out + pairs[:, None] * F + channels[None, :]
        tl.store(targets, sums.to(out.dtype.element_ty), mask=there[:, None] & real[None, :])


@triton.jit(do_not_specialize=["B"])
def join_experts(
    outputs,  # [B * K + N * B, D], as `multiply_groups` leaves it
    weights,  # [B, K] float32
    residual,  # [B, D]
    out,  # [B, D]
    B,
    D: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Weighted sum of what a row's experts made, with the shared ones and the residual stream."""
    columns, row = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.program_id(1)
    inside = columns < D
    await_inputs(OVERLAP)
    sums = tl.load(residual + row * D + columns, mask=inside, other=0).to(tl.float32)
    for choice in tl.static_range(K):
        weight = tl.load(weights + row * K + choice)
        sums += tl.load(outputs + (row * K + choice) * D + columns, mask=inside, other=0).to(tl.float32) * weight
    for part in tl.static_range(N):
        sums += tl.load(outputs + (B * K + part * B + row) * D + columns, mask=inside, other=0).to(tl.float32)
    tl.store(out + row * D + columns, sums.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _load_gate_up(weight, scale, first, ups, channels, columns, real, mask, D: tl.constexpr, SCALED: tl.constexpr):
    """Rows of a gate projection from `first` on, those of the up projection `ups` further, and the scales of both."""
    gate, up = load_halves(weight + (first + channels[:, None]) * D + columns[None, :], ups * D, mask)
    scale += first
    return gate, up, load_scales(scale, channels, real, SCALED), load_scales(scale + ups, channels, real, SCALED)


@triton.jit
def enter_experts(
    row,  # [D]
    norm,  # [D]
    experts,  # [K] int32
    gate_up,  # [E, 2 I, D]
    gate_up_scale,  # [E, 2 I] float32, where weights are int8
    shared,  # [2 N I, D], gates before ups
    shared_scale,
    inner,  # [N + K, I]
    eps,
    D: tl.constexpr,
    I: tl.constexpr,  # noqa: E741
    N: tl.constexpr,
    SCALED: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """RMS norm, gate and up projections, and SwiGLU of a single row: `OUTPUTS` channels of one of N parts of the shared
    experts, or of a chosen one. The shared ones come first, as they need not wait for the choice."""
    block, slot = tl.program_id(0), tl.program_id(1)
    channels, columns = block * OUTPUTS + tl.arange(0, OUTPUTS), row_columns(WIDTH)
    real, inside = channels < I, columns < D
    mask = real[:, None] & inside[None, :]
    gains = tl.load(norm + columns, mask=inside, other=0)
    if slot < N:
        gate, up, gate_scales, up_scales = _load_gate_up(
            shared, shared_scale, slot.to(tl.int64) * I, N * I, channels, columns, real, mask, D, SCALED
        )
        await_inputs(OVERLAP)
    else:
        await_inputs(OVERLAP)
        expert = tl.load(experts + slot - N).to(tl.int64)
        gate, up, gate_scales, up_scales = _load_gate_up(
            gate_up, gate_up_scale, expert * 2 * I, I, channels, columns, real, mask, D, SCALED
        )
    inputs, squares = normalise(tl.load(row + columns[None, :], mask=inside[None, :], other=0), gains)
    wide, root = inputs.to(tl.float32), tl.rsqrt(tl.sum(squares) / D + eps)
    gates = tl.sum(wide * gate.to(tl.float32), 1) * root * gate_scales
    ups = tl.sum(wide * up.to(tl.float32), 1) * root * up_scales
    out = gates * tl.sigmoid(gates) * ups
    tl.store(inner + slot * I + channels, out.to(inner.dtype.element_ty), mask=real)


@triton.jit
def leave_experts(
    inner,  # [N + K, I], as `enter_experts` leaves it
    experts,  # [K] int32
    weights,  # [K] float32
    down,  # [E, D, I]
    down_scale,  # [E, D] float32, where weights are int8
    shared,  # [D, N I]
    shared_scale,  # [D]
    residual,  # [D]
    out,  # [D]
    D: tl.constexpr,
    I: tl.constexpr,  # noqa: E741
    K: tl.constexpr,
    N: tl.constexpr,
    SCALED: tl.constexpr,
    SLOTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Down projections of a single row, summed with their weights and the residual stream: `OUTPUTS` channels of all
    parts of the shared experts and of all chosen ones, for which there is room for `SLOTS`."""
    channels, columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), row_columns(WIDTH)
    slots = tl.arange(0, SLOTS)
    real, common, chosen = channels < D, slots < N, (slots >= N) & (slots < N + K)
    mask = real[None, :, None] & (columns < I)[None, None, :]
    # the choice was made two kernels ago, so all of this may come before the wait
    expert = tl.load(experts + slots - N, mask=chosen, other=0).to(tl.int64)
    factors = tl.load(weights + slots - N, mask=chosen, other=1)[:, None]
    places = (expert * D * I)[:, None, None] + (channels[None, :, None] * I + columns[None, None, :])
    tile = tl.load(down + places, mask=chosen[:, None, None] & mask, other=0)
    places = channels[None, :, None] * (N * I) + slots[:, None, None] * I + columns[None, None, :]
    tile += tl.load(shared + places, mask=common[:, None, None] & mask, other=0)
    if SCALED:
        places = (expert * D)[:, None] + channels[None, :]
        scales = tl.load(down_scale + places, mask=chosen[:, None] & real[None, :], other=0)
        factors *= scales + tl.load(shared_scale + channels[None, :], mask=common[:, None] & real[None, :], other=0)
    total = tl.load(residual + channels, mask=real, other=0).to(tl.float32)
    await_inputs(OVERLAP)
    mask = (common | chosen)[:, None, None] & (columns < I)[None, None, :]
    inputs = tl.load(inner + slots[:, None, None] * I + columns[None, None, :], mask=mask, other=0)
    total += tl.sum(tl.sum(inputs.to(tl.float32) * tile.to(tl.float32), 2) * factors, 0)
    tl.store(out + channels, total.to(out.dtype.element_ty), mask=real)
