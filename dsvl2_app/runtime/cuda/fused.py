"""Kernels of one decode step on a GPU, in Triton: for a single row, a layer is six to nine of them.

With few rows a step costs as many launches as it has operations and one reading of the active weights, so what belongs
together is one kernel: a norm with the projections behind it, rotation and cache with attention, the choice of experts
with their products, and every sum with the residual stream. Sums are float32. `step` puts them in order and has their
plain equivalents, the layers' own forward.

On GPUs that can, a kernel starts before the one ahead of it has ended (`OVERLAP`): it loads weights and earlier tokens,
which are nobody's output, and waits (`await_inputs`) before it touches anything else. Only then may the next one
start, so whatever lies two kernels back is complete before the wait. Where a kernel has to see all of what its programs
made, the one that is last with its part goes on (`arrives_last`): that costs less than a kernel more.

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
def arrives_last(counter, programs):
    """Whether the others of `programs` that count here have stored all they had to, which `.cg` loads then see (the L1
    cache is one multiprocessor's own). The counter is 0 again for the next kernel, which does not touch it before its
    wait."""
    tl.debug_barrier()  # until all threads of this program have stored
    last = tl.atomic_add(counter, 1, sem="acq_rel") == programs - 1
    if last:
        tl.store(counter, 0)
    return last


@triton.jit
def load_scales(scale, channels, real, SCALED: tl.constexpr):
    """What products with int8 weights are multiplied with, and 1 for other weights."""
    if SCALED:
        return tl.load(scale + channels, mask=real, other=0)
    else:
        return tl.full(channels.shape, 1, tl.float32)


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
def row_columns(WIDTH: tl.constexpr):
    """Columns of a matrix for a single row. A thread takes 8 at a time of int8 weights as well, so that they need not
    change places to meet the numbers they are multiplied with."""
    return tl.max_contiguous(tl.arange(0, WIDTH), 8)


@triton.jit
def multiply(inputs, tile, MATRIX: tl.constexpr):
    """Inputs [R, WIDTH] times tile [OUTPUTS, WIDTH] -> [R, OUTPUTS], on matrix units unless R is 1."""
    if MATRIX:
        return tl.dot(inputs, tile.to(inputs.dtype).T, input_precision="ieee")
    else:
        return tl.sum(inputs.to(tl.float32) * tile.to(tl.float32), 1)[None, :]


@triton.jit
def normalise(inputs, gains):
    """Inputs [R, WIDTH] times a norm's weights [WIDTH], and their sums of squares [R]; the root comes at the end."""
    wide = inputs.to(tl.float32)
    return (wide * gains.to(tl.float32)[None, :]).to(inputs.dtype), tl.sum(wide * wide, 1)


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
    batch, columns = tl.arange(0, R), tl.arange(0, WIDTH) if R > 1 else row_columns(WIDTH)
    there = batch < B
    targets = batch[:, None] * (F_0 + F_1 + F_2) + offset + channels[None, :]
    mask = there[:, None] & real[None, :]
    places = weight + channels[:, None].to(tl.int64) * D + columns[None, :]
    tile = tl.load(places, mask=real[:, None] & (columns < D)[None, :], other=0)
    scales = load_scales(scale, channels, real, SCALED)
    if NORM:
        gains = tl.load(norm + columns, mask=columns < D, other=0)
    if RESIDUAL:  # was made before what led to `rows`, so two kernels ago at the latest
        before = tl.load(residual + targets, mask=mask, other=0)
    sums = tl.zeros((R, OUTPUTS), tl.float32)
    squares = tl.zeros((R,), tl.float32)
    await_inputs(OVERLAP)
    for start in range(0, D, WIDTH):
        inside = start + columns < D
        sources = rows + batch[:, None] * row_stride + start + columns[None, :]
        inputs = tl.load(sources, mask=there[:, None] & inside[None, :], other=0)
        ahead = start + WIDTH + columns
        if NORM:
            inputs, more = normalise(inputs, gains)
            squares += more
            gains = tl.load(norm + ahead, mask=ahead < D, other=0)
        sums += multiply(inputs, tile, R > 1)
        tile = tl.load(places + start + WIDTH, mask=real[:, None] & (ahead < D)[None, :], other=0)
    sums *= scales[None, :]
    if NORM:
        sums *= tl.rsqrt(squares / D + eps)[:, None]
    if RESIDUAL:
        sums += before.to(tl.float32)
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
    arrivals,  # [B * H] int32, zeros
    out,  # [B, H * head]: context
    capacity,
    scale,
    H: tl.constexpr,
    G: tl.constexpr,
    HEAD: tl.constexpr,
    HALF: tl.constexpr,
    SPLIT: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """Multi-head attention of one head over `SPLIT` tokens of the cache. The split that the new token belongs to
    rotates its key, adds it, and writes key and value into the cache; the one that is last joins all."""
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
    each = row * H + head
    place = each * tl.num_programs(1) + split
    tl.store(weights + place * 2, highest)
    tl.store(weights + place * 2 + 1, total)
    store_halves(part + place * HEAD + half, HEAD // 2, context_left, context_right, real)
    used = position // SPLIT + 1
    if arrives_last(arrivals + each, used):
        columns = tl.arange(0, 2 * HALF)
        context = _join(part, weights, each, tl.num_programs(1), used, columns, columns < HEAD, HEAD, SPLITS)
        tl.store(out + each * HEAD + columns, context.to(out.dtype.element_ty), mask=columns < HEAD)


@triton.jit
def _join(part, weights, place, splits, used, columns, real, WIDTH: tl.constexpr, SPLITS: tl.constexpr):
    """Softmax context of one head from that of its splits."""
    each = tl.arange(0, SPLITS)
    there = each < used
    own = weights + (place * splits + each) * 2
    highest = tl.load(own, mask=there, other=LOWEST, cache_modifier=".cg")
    totals = tl.load(own + 1, mask=there, other=0, cache_modifier=".cg")
    contexts = tl.load(
        part + (place * splits + each[:, None]) * WIDTH + columns[None, :],
        mask=there[:, None] & real[None, :],
        other=0,
        cache_modifier=".cg",
    )
    shares = tl.where(there, tl.exp(highest - tl.max(highest)), 0.0)
    return tl.sum(contexts * shares[:, None], 0) / tl.sum(totals * shares)


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
            position = tl.load(positions + row)
            place = row.to(tl.int64) * capacity + position
            columns, half = tl.arange(0, L_WIDE), tl.arange(0, R_HALF)
            gains = tl.load(norm + columns, mask=columns < L, other=0).to(tl.float32)
            real = half < R // 2
            angles = position.to(tl.float32) * tl.load(frequencies + half, mask=real, other=0)
            cos, sin = tl.cos(angles), tl.sin(angles)
            await_inputs(OVERLAP)
            latent = tl.load(own + columns, mask=columns < L, other=0).to(tl.float32)
            latent *= tl.rsqrt(tl.sum(latent * latent) / L + eps) * gains
            tl.store(latents + place * L + columns, latent.to(latents.dtype.element_ty), mask=columns < L)
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
    columns, half = tl.arange(0, L_WIDE), tl.arange(0, R_HALF)
    real, inside, rotated = heads < H, columns < L, half < R // 2
    angles = position.to(tl.float32) * tl.load(frequencies + half, mask=rotated, other=0)
    cos, sin = tl.cos(angles)[None, :], tl.sin(angles)[None, :]
    await_inputs(OVERLAP)
    query = tl.load(
        queries + (row * H + heads[:, None]) * L + columns[None, :], mask=real[:, None] & inside[None, :], other=0
    )
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
    context = _join(part, weights, row * H + head, splits, used, columns, inside, L, SPLITS)
    moved = tl.sum(tile.to(tl.float32) * context[None, :], 1)
    tl.store(out + (row * H + head) * VALUE + numbers, moved.to(out.dtype.element_ty), mask=numbers < VALUE)


@triton.jit
def _choose(
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
        _choose(logits, bias, experts, weights, scaling, E, K, E_WIDE, SIGMOID, BIASED, NORMALISE)


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
    _choose(
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
