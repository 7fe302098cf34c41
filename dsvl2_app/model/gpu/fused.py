"""Kernels of one decode step on a GPU, in Triton: a layer is seven or eight of them.

With few rows a step costs as many launches as it has operations and one reading of the active weights, so what belongs
together is one kernel: a norm with the projections behind it, rotation and cache with attention, the choice of experts
with their products, and every sum with the residual stream. Sums are float32. `step` puts them in order and has their
plain equivalents, the layers' own forward.

On GPUs that can, a kernel starts before the one ahead of it has ended (`OVERLAP`): it loads weights and earlier tokens,
which are nobody's output, and waits (`await_inputs`) before it touches anything else. Only then may the next one
start, so whatever lies two kernels back is complete before the wait.

B rows (conversations), D decoder width, H heads, G groups of keys, S tokens in the cache, L latent rank, R rope width,
E routed experts, K active ones, I width inside an expert. Names in capitals are constants of a compiled kernel.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

# a score that no real one reaches, and finite, so that differences of two are numbers
LOWEST = tl.constexpr(-1e30)


@triton.jit
def await_inputs(OVERLAP: tl.constexpr):
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()


@triton.jit
def load_halves(left, distance, mask):
    return tl.load(left, mask=mask, other=0), tl.load(left + distance, mask=mask, other=0)


@triton.jit
def store_halves(target, distance, left, right, mask):
    tl.store(target, left.to(target.dtype.element_ty), mask=mask)
    tl.store(target + distance, right.to(target.dtype.element_ty), mask=mask)


@triton.jit
def rotate(left, right, cos, sin):
    left, right = left.to(tl.float32), right.to(tl.float32)
    return left * cos - right * sin, right * cos + left * sin


@triton.jit
def multiply(inputs, tile, MATRIX: tl.constexpr):
    """Inputs [R, WIDTH] times tile [OUTPUTS, WIDTH] -> [R, OUTPUTS], for several rows on matrix units."""
    if MATRIX:
        return tl.dot(inputs, tile.to(inputs.dtype).T, input_precision="ieee")
    return tl.sum(inputs.to(tl.float32)[:, None, :] * tile.to(tl.float32)[None, :, :], 2)


@triton.jit
def normalise(inputs, norm, columns, inside):
    """Inputs [R, WIDTH] times the weights of a norm, and their sums of squares [R]; the root comes at the end."""
    wide = inputs.to(tl.float32)
    scaled = wide * tl.load(norm + columns, mask=inside, other=0).to(tl.float32)[None, :]
    return scaled.to(inputs.dtype), tl.sum(wide * wide, 1)


@triton.jit(do_not_specialize=["B"])
def project(
    rows,  # [B, row_stride], the first D of each
    norm,  # [D]
    weight_0,  # [F_0, D]; up to three matrices that share their inputs, one behind the other in `out`
    weight_1,
    weight_2,
    scale_0,  # [F_0] float32, where weights are int8
    scale_1,
    scale_2,
    residual,  # [B, F]
    out,  # [B, F], F = F_0 + F_1 + F_2
    row_stride,
    eps,
    F_0,
    F_1,
    F_2,
    B,
    D: tl.constexpr,
    NORM: tl.constexpr,
    SCALED: tl.constexpr,
    RESIDUAL: tl.constexpr,
    R: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """out = (RMS norm of) rows times weights (+ residual), `OUTPUTS` numbers of all rows at a time, for
    which there is room for `R`."""
    block = tl.program_id(0)
    blocks_0, blocks_1 = tl.cdiv(F_0, OUTPUTS), tl.cdiv(F_1, OUTPUTS)
    weight, scale, first, outputs, offset = weight_0, scale_0, block * OUTPUTS, F_0, 0
    if block >= blocks_0 + blocks_1:
        weight, scale, first, outputs, offset = (
            weight_2,
            scale_2,
            (block - blocks_0 - blocks_1) * OUTPUTS,
            F_2,
            F_0 + F_1,
        )
    elif block >= blocks_0:
        weight, scale, first, outputs, offset = weight_1, scale_1, (block - blocks_0) * OUTPUTS, F_1, F_0
    channels = first + tl.arange(0, OUTPUTS)
    real = channels < outputs
    batch, columns = tl.arange(0, R), tl.arange(0, WIDTH)
    there = batch < B
    places = weight + channels[:, None].to(tl.int64) * D + columns[None, :]
    tile = tl.load(places, mask=real[:, None] & (columns < D)[None, :], other=0)
    sums = tl.zeros((R, OUTPUTS), tl.float32)
    squares = tl.zeros((R,), tl.float32)
    await_inputs(OVERLAP)
    for start in range(0, D, WIDTH):
        inside = start + columns < D
        sources = rows + batch[:, None] * row_stride + start + columns[None, :]
        inputs = tl.load(sources, mask=there[:, None] & inside[None, :], other=0)
        if NORM:
            inputs, more = normalise(inputs, norm, start + columns, inside)
            squares += more
        sums += multiply(inputs, tile, R > 1)
        ahead = start + WIDTH
        tile = tl.load(places + ahead, mask=real[:, None] & (ahead + columns < D)[None, :], other=0)
    if NORM:
        sums *= tl.rsqrt(squares / D + eps)[:, None]
    if SCALED:
        sums *= tl.load(scale + channels, mask=real, other=0)[None, :]
    targets = batch[:, None] * (F_0 + F_1 + F_2) + offset + channels[None, :]
    mask = there[:, None] & real[None, :]
    if RESIDUAL:
        sums += tl.load(residual + targets, mask=mask, other=0).to(tl.float32)
    tl.store(out + targets, sums.to(out.dtype.element_ty), mask=mask)


@triton.jit
def attend_heads(
    queries,  # [B, (H + 2 G) * head]: queries, keys and values as projected
    keys,  # [rows, G, capacity, head], the pool of which this step uses the first B rows
    values,
    positions,  # [B]
    frequencies,  # [head / 2] float32
    part,  # [B, H, splits, head] float32
    weights,  # [B, H, splits, 2] float32: each split's highest score, and its sum of exponentials
    capacity,
    scale,
    H: tl.constexpr,
    G: tl.constexpr,
    HEAD: tl.constexpr,
    HALF: tl.constexpr,
    SPLIT: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Multi-head attention of one head over `SPLIT` tokens of the cache. The split that the new token belongs to
    rotates its key, adds it, and writes key and value into the cache."""
    head, split, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + row)
    first = split * SPLIT
    if first > position:
        return
    half, tokens = tl.arange(0, HALF), first + tl.arange(0, BLOCK)
    real = half < HEAD // 2
    group = head * G // H
    cache = ((row * G + group).to(tl.int64) * capacity) * HEAD
    end = tl.minimum(first + SPLIT, position)  # of what the cache holds already
    places = cache + tokens[:, None] * HEAD + half[None, :]
    known = (tokens < end)[:, None] & real[None, :]
    key_left, key_right = load_halves(keys + places, HEAD // 2, known)
    value_left, value_right = load_halves(values + places, HEAD // 2, known)
    angles = position.to(tl.float32) * tl.load(frequencies + half, mask=real, other=0)
    cos, sin = tl.cos(angles), tl.sin(angles)
    await_inputs(OVERLAP)
    own = queries + row * (H + 2 * G) * HEAD + half
    query_left, query_right = rotate(*load_halves(own + head * HEAD, HEAD // 2, real), cos, sin)
    query_left, query_right = query_left * scale, query_right * scale
    highest, total = tl.full((), LOWEST, tl.float32), tl.full((), 0, tl.float32)
    context_left, context_right = tl.zeros((HALF,), tl.float32), tl.zeros((HALF,), tl.float32)
    if position < first + SPLIT:
        key, value = own + (H + group) * HEAD, own + (H + G + group) * HEAD
        own_left, own_right = rotate(*load_halves(key, HEAD // 2, real), cos, sin)
        highest, total = tl.sum(query_left * own_left + query_right * own_right), tl.full((), 1, tl.float32)
        target = cache + position * HEAD + half
        left, right = load_halves(value, HEAD // 2, real)
        store_halves(keys + target, HEAD // 2, own_left, own_right, real)
        store_halves(values + target, HEAD // 2, left, right, real)
        context_left, context_right = left.to(tl.float32), right.to(tl.float32)
    for _ in range(first, end, BLOCK):
        there = tokens < end
        products = key_left.to(tl.float32) * query_left[None, :] + key_right.to(tl.float32) * query_right[None, :]
        scores = tl.where(there, tl.sum(products, 1), LOWEST)
        above = tl.maximum(highest, tl.max(scores))
        shares, fade = tl.where(there, tl.exp(scores - above), 0.0), tl.exp(highest - above)
        total = total * fade + tl.sum(shares)
        context_left = context_left * fade + tl.sum(shares[:, None] * value_left.to(tl.float32), 0)
        context_right = context_right * fade + tl.sum(shares[:, None] * value_right.to(tl.float32), 0)
        highest = above
        tokens, places = tokens + BLOCK, places + BLOCK * HEAD
        ahead = (tokens < end)[:, None] & real[None, :]
        key_left, key_right = load_halves(keys + places, HEAD // 2, ahead)
        value_left, value_right = load_halves(values + places, HEAD // 2, ahead)
    place = (row * H + head) * tl.num_programs(1) + split
    tl.store(weights + place * 2, highest)
    tl.store(weights + place * 2 + 1, total)
    store_halves(part + place * HEAD + half, HEAD // 2, context_left, context_right, real)


@triton.jit
def _gather(part, weights, place, splits, used, columns, real, WIDTH: tl.constexpr, SPLITS: tl.constexpr):
    """Softmax context of one head from that of its splits."""
    each = tl.arange(0, SPLITS)
    there = each < used
    highest = tl.load(weights + (place * splits + each) * 2, mask=there, other=LOWEST)
    totals = tl.load(weights + (place * splits + each) * 2 + 1, mask=there, other=0)
    shares = tl.exp(highest - tl.max(highest))
    shares = tl.where(there, shares, 0.0)
    contexts = tl.load(
        part + (place * splits + each[:, None]) * WIDTH + columns[None, :],
        mask=there[:, None] & real[None, :],
        other=0,
    )
    return tl.sum(contexts * shares[:, None], 0) / tl.sum(totals * shares)


@triton.jit
def join_splits(
    part, weights, positions, out, H: tl.constexpr, HEAD: tl.constexpr, WIDE: tl.constexpr, splits,
    SPLIT: tl.constexpr, SPLITS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """The splits of `attend_heads` -> context [B, H * head]."""
    head, row = tl.program_id(0), tl.program_id(1)
    used = tl.load(positions + row) // SPLIT + 1
    columns = tl.arange(0, WIDE)
    real = columns < HEAD
    await_inputs(OVERLAP)
    context = _gather(part, weights, row * H + head, splits, used, columns, real, HEAD, SPLITS)
    tl.store(out + (row * H + head) * HEAD + columns, context.to(out.dtype.element_ty), mask=real)


@triton.jit
def absorb(
    queries,  # [B, query_stride]: [H, nope + R] as projected
    projected,  # [B, stride], from `latent_at` on latent [L] and rope key [R]
    kv_b,  # [H, nope + value, L]
    norm,  # [L]
    positions,  # [B]
    frequencies,  # [R / 2]
    latents,  # [rows, 1, capacity, L], the pool
    ropes,  # [rows, 1, capacity, R]
    out,  # [B, H, L]: queries in latent space
    query_stride,
    stride,
    latent_at,
    capacity,
    eps,
    H: tl.constexpr,
    NOPE: tl.constexpr,
    VALUE: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    NOPE_WIDE: tl.constexpr,
    L_WIDE: tl.constexpr,
    R_HALF: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """A head's query moves into latent space, `BLOCK` numbers of it at a time; in the place of a head more, the new
    token's latent is normalised and its rope key rotated, and both are written into the cache."""
    head, block, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if head == H:
        if block == 0:
            own = projected + row * stride + latent_at
            await_inputs(OVERLAP)
            position = tl.load(positions + row)
            place = row.to(tl.int64) * capacity + position
            columns = tl.arange(0, L_WIDE)
            latent = tl.load(own + columns, mask=columns < L, other=0).to(tl.float32)
            latent *= tl.rsqrt(tl.sum(latent * latent) / L + eps)
            latent *= tl.load(norm + columns, mask=columns < L, other=0).to(tl.float32)
            tl.store(latents + place * L + columns, latent.to(latents.dtype.element_ty), mask=columns < L)
            half = tl.arange(0, R_HALF)
            real = half < R // 2
            angles = position.to(tl.float32) * tl.load(frequencies + half, mask=real, other=0)
            cos, sin = tl.cos(angles), tl.sin(angles)
            left, right = rotate(*load_halves(own + L + 2 * half, 1, real), cos, sin)
            store_halves(ropes + place * R + half, R // 2, left, right, real)
    else:
        numbers, columns = tl.arange(0, NOPE_WIDE), block * BLOCK + tl.arange(0, BLOCK)
        tile = tl.load(
            kv_b + (head * (NOPE + VALUE) + numbers[:, None]) * L + columns[None, :],
            mask=(numbers < NOPE)[:, None] & (columns < L)[None, :],
            other=0,
        )
        await_inputs(OVERLAP)
        own = queries + row * query_stride + head * (NOPE + R) + numbers
        query = tl.load(own, mask=numbers < NOPE, other=0).to(tl.float32)
        moved = tl.sum(tile.to(tl.float32) * query[:, None], 0)
        tl.store(out + (row * H + head) * L + columns, moved.to(out.dtype.element_ty), mask=columns < L)


@triton.jit
def attend_latents(
    queries,  # [B, H, L]
    projected,  # [B, stride], for the rope parts of queries
    latents,  # [rows, 1, capacity, L]
    ropes,  # [rows, 1, capacity, R]
    positions,  # [B]
    frequencies,  # [R / 2]
    part,  # [B, H, splits, L] float32
    weights,  # [B, H, splits, 2] float32
    stride,
    capacity,
    scale,
    H: tl.constexpr,
    NOPE: tl.constexpr,
    L: tl.constexpr,
    R: tl.constexpr,
    HEADS: tl.constexpr,
    L_WIDE: tl.constexpr,
    R_HALF: tl.constexpr,
    SPLIT: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Absorbed latent attention of `HEADS` heads, which share what the cache holds, over `SPLIT` tokens."""
    heads = tl.program_id(0) * HEADS + tl.arange(0, HEADS)
    split, row = tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + row)
    first = split * SPLIT
    if first > position:
        return
    await_inputs(OVERLAP)
    columns, half = tl.arange(0, L_WIDE), tl.arange(0, R_HALF)
    real, inside, rotated = heads < H, columns < L, half < R // 2
    query = tl.load(
        queries + (row * H + heads[:, None]) * L + columns[None, :], mask=real[:, None] & inside[None, :], other=0
    )
    angles = position.to(tl.float32) * tl.load(frequencies + half, mask=rotated, other=0)
    cos, sin = tl.cos(angles)[None, :], tl.sin(angles)[None, :]
    pairs = projected + row * stride + heads[:, None] * (NOPE + R) + NOPE + 2 * half[None, :]
    query_left, query_right = rotate(*load_halves(pairs, 1, real[:, None] & rotated[None, :]), cos, sin)
    query_left, query_right = query_left.to(ropes.dtype.element_ty), query_right.to(ropes.dtype.element_ty)
    highest, total = tl.full((HEADS,), LOWEST, tl.float32), tl.zeros((HEADS,), tl.float32)
    context = tl.zeros((HEADS, L_WIDE), tl.float32)
    cache = row.to(tl.int64) * capacity
    for start in range(first, tl.minimum(first + SPLIT, position + 1), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        known = tokens < tl.minimum(first + SPLIT, position + 1)
        latent = tl.load(
            latents + (cache + tokens[:, None]) * L + columns[None, :], mask=known[:, None] & inside[None, :], other=0
        )
        rope = ropes + (cache + tokens[:, None]) * R + half[None, :]
        there = known[:, None] & rotated[None, :]
        scores = tl.dot(query, latent.T, input_precision="ieee")
        rope_left, rope_right = load_halves(rope, R // 2, there)
        scores += tl.dot(query_left, rope_left.T, input_precision="ieee")
        scores += tl.dot(query_right, rope_right.T, input_precision="ieee")
        scores = tl.where(known[None, :], scores * scale, LOWEST)
        above = tl.maximum(highest, tl.max(scores, 1))
        shares, fade = tl.exp(scores - above[:, None]), tl.exp(highest - above)
        total = total * fade + tl.sum(shares, 1)
        context = context * fade[:, None] + tl.dot(shares.to(latent.dtype), latent, input_precision="ieee")
        highest = above
    place = (row * H + heads) * tl.num_programs(1) + split
    tl.store(weights + place * 2, highest, mask=real)
    tl.store(weights + place * 2 + 1, total, mask=real)
    tl.store(part + place[:, None] * L + columns[None, :], context, mask=real[:, None] & inside[None, :])


@triton.jit
def expand(
    part,  # [B, H, splits, L] float32
    weights,  # [B, H, splits, 2] float32
    kv_b,  # [H, nope + value, L]
    positions,  # [B]
    out,  # [B, H * value]
    splits,
    H: tl.constexpr,
    NOPE: tl.constexpr,
    VALUE: tl.constexpr,
    L: tl.constexpr,
    L_WIDE: tl.constexpr,
    SPLIT: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The splits of `attend_latents` -> context, out of latent space, `BLOCK` numbers of a head at a time."""
    head, block, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    used = tl.load(positions + row) // SPLIT + 1
    columns, numbers = tl.arange(0, L_WIDE), block * BLOCK + tl.arange(0, BLOCK)
    inside = columns < L
    tile = tl.load(
        kv_b + (head * (NOPE + VALUE) + NOPE + numbers[:, None]) * L + columns[None, :],
        mask=(numbers < VALUE)[:, None] & inside[None, :],
        other=0,
    )
    await_inputs(OVERLAP)
    context = _gather(part, weights, row * H + head, splits, used, columns, inside, L, SPLITS)
    moved = tl.sum(tile.to(tl.float32) * context[None, :], 1)
    tl.store(out + (row * H + head) * VALUE + numbers, moved.to(out.dtype.element_ty), mask=numbers < VALUE)


@triton.jit
def choose_experts(
    logits,  # [B, E] float32, of the router
    bias,  # [E] float32
    experts,  # [B, K] int32
    weights,  # [B, K] float32
    scaling,
    E: tl.constexpr,
    K: tl.constexpr,
    E_WIDE: tl.constexpr,
    SIGMOID: tl.constexpr,
    BIASED: tl.constexpr,
    NORMALISE: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """The K best experts of a row, by rank, which is how many are better, and their weights."""
    row, each = tl.program_id(0), tl.arange(0, E_WIDE)
    real = each < E
    await_inputs(OVERLAP)
    scores = tl.load(logits + row * E + each, mask=real, other=0)
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
    tl.store(experts + row * K + rank, each, mask=chosen)
    tl.store(weights + row * K + rank, scores * scaling, mask=chosen)


@triton.jit(do_not_specialize=["PAIRS"])
def group_pairs(
    experts,  # [B * K] int32: pair p is the choice p % K of row p // K
    order,  # [B * K] int32: pairs by expert
    starts,  # [E + 1] int32: where in `order` the pairs of each expert begin
    PAIRS,
    E: tl.constexpr,
    E_WIDE: tl.constexpr,
    PAIRS_WIDE: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Who chose which expert, so that an expert's weights are read once for all of them."""
    pairs, each = tl.arange(0, PAIRS_WIDE), tl.arange(0, E_WIDE)
    await_inputs(OVERLAP)
    chosen = tl.load(experts + pairs, mask=pairs < PAIRS, other=E)
    ranked = tl.sort(chosen * PAIRS_WIDE + pairs) % PAIRS_WIDE
    tl.store(order + pairs, ranked, mask=pairs < PAIRS)
    before = tl.sum((chosen[None, :] < each[:, None]).to(tl.int32), 1)
    tl.store(starts + each, before, mask=each <= E)


@triton.jit(do_not_specialize=["B"])
def multiply_groups(
    rows,  # ENTER: [B, D], else one row per pair and part as in `out`
    norm,  # ENTER: [D]
    order,  # [B * K] int32, as `group_pairs` leaves it; unread where B is 1
    groups,  # [E + 1] int32: where pairs of experts begin; where B is 1, [K] the chosen experts
    weights,  # [E, F or 2 F, D]
    scales,  # [E, F or 2 F] float32, where weights are int8
    shared,  # ENTER: [2 N F, D], gates before ups; else [F, N D]
    shared_scales,
    out,  # [B * K + N * B, F]: of each pair, then of each row for each part of the shared experts
    eps,
    B,
    D: tl.constexpr,
    F: tl.constexpr,
    GROUPS: tl.constexpr,
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
    if group < GROUPS:
        if R == 1:
            first, last, expert = group, group + 1, tl.load(groups + group).to(tl.int64)
        else:
            first, last = tl.load(groups + group), tl.load(groups + group + 1)
            expert = group.to(tl.int64)
        expert *= (1 + ENTER) * F
        matrix, scale, stride, up = weights + expert * D, scales + expert, D, F
    else:
        part = group - GROUPS
        first = B * K + part * B
        last = first + B
        if ENTER:
            matrix, scale, stride, up = shared + part.to(tl.int64) * F * D, shared_scales + part * F, D, N * F
        else:
            matrix, scale, stride, up = shared + part.to(tl.int64) * D, shared_scales, N * D, F
    for start in range(first, last, R):
        members = start + tl.arange(0, R)
        there = members < last
        pairs = members
        if R > 1 and K > 0:
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
                inputs, more = normalise(inputs, norm, at + columns, inside)
                squares += more
                sums += multiply(inputs, gate, R > 1)
                ups += multiply(inputs, raised, R > 1)
            else:
                sums += multiply(inputs, tl.load(places, mask=mask, other=0), R > 1)
        if SCALED:
            sums *= tl.load(scale + channels, mask=real, other=0)[None, :]
        if ENTER:
            factor = tl.rsqrt(squares / D + eps)[:, None]
            sums, ups = sums * factor, ups * factor
            if SCALED:
                ups *= tl.load(scale + up + channels, mask=real, other=0)[None, :]
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
def _load_down(
    experts, weights, down, down_scale, shared, shared_scale, channels, columns, mask,
    SLOT: tl.constexpr, D: tl.constexpr, I: tl.constexpr, K: tl.constexpr, N: tl.constexpr, SCALED: tl.constexpr,  # noqa: E741
):  # fmt: skip
    """A slot's part [OUTPUTS, WIDTH] of its matrix, and what its products are multiplied with [OUTPUTS]."""
    if SLOT < K:
        expert = tl.load(experts + SLOT).to(tl.int64)
        factor = tl.load(weights + SLOT) + tl.zeros_like(channels).to(tl.float32)
        matrix, scale, stride = down + expert * D * I, down_scale + expert * D, I
    else:
        factor = tl.zeros_like(channels).to(tl.float32) + 1
        matrix, scale, stride = shared + (SLOT - K) * I, shared_scale, N * I
    if SCALED:
        factor *= tl.load(scale + channels, mask=channels < D, other=0)
    return tl.load(matrix + channels[:, None] * stride + columns[None, :], mask=mask, other=0), factor


@triton.jit
def leave_experts(
    inner,  # [K + N, I]
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
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """`multiply_groups` and `join_experts` in one, for a single row."""
    channels, columns = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS), tl.arange(0, WIDTH)
    inside = columns < I
    mask = (channels < D)[:, None] & inside[None, :]
    # the choice was made two kernels ago, so this may come before the wait
    tile, factor = _load_down(
        experts, weights, down, down_scale, shared, shared_scale, channels, columns, mask, 0, D, I, K, N, SCALED
    )
    await_inputs(OVERLAP)
    sums = tl.zeros((OUTPUTS, WIDTH), tl.float32)
    for slot in tl.static_range(K + N):
        inputs = tl.load(inner + slot * I + columns, mask=inside, other=0).to(tl.float32)
        sums += tile.to(tl.float32) * inputs[None, :] * factor[:, None]
        if slot + 1 < K + N:
            tile, factor = _load_down(
                experts, weights, down, down_scale, shared, shared_scale, channels, columns, mask,
                slot + 1, D, I, K, N, SCALED,
            )  # fmt: skip
    total = tl.sum(sums, 1) + tl.load(residual + channels, mask=channels < D, other=0).to(tl.float32)
    tl.store(out + channels, total.to(out.dtype.element_ty), mask=channels < D)
