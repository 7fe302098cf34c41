"""Multi-head attention of one token, split over the cache.

B rows, H heads, G groups of keys. `m_l`, highest and total are m and l of an online softmax, fade is its alpha.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import (
    LOWEST,
    arrives_last,
    await_inputs,
    join_splits,
    load_halves,
    rotate,
    store_halves,
)


@triton.jit
def attend_heads(
    queries,  # [B, (H + 2 G) * head]: queries, keys and values as projected
    keys,  # [rows, G, capacity, head], the pool of which this step uses the first B rows
    values,
    positions,  # [B]
    frequencies,  # [head / 2] float32
    part,  # [B, H, splits, head] float32
    m_l,  # [B, H, splits, 2] float32: each split's highest score m and its sum of exponentials l
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
        weights, fade = tl.where(there, tl.exp(scores - above), 0.0), tl.exp(highest - above)
        total = total * fade + tl.sum(weights)
        context_left = context_left * fade + tl.sum(weights[:, None] * value_left.to(tl.float32), 0)
        context_right = context_right * fade + tl.sum(weights[:, None] * value_right.to(tl.float32), 0)
        highest = above
        tokens, places = tokens + BLOCK, places + BLOCK * HEAD
        ahead = (tokens < end)[:, None] & real[None, :]
        key_left, key_right = load_halves(keys + places, HEAD // 2, ahead)
        value_left, value_right = load_halves(values + places, HEAD // 2, ahead)
    each = row * H + head
    place = each * tl.num_programs(1) + split
    tl.store(m_l + place * 2, highest)
    tl.store(m_l + place * 2 + 1, total)
    store_halves(part + place * HEAD + half, HEAD // 2, context_left, context_right, real)
    used = position // SPLIT + 1
    if arrives_last(arrivals + each, used):
        columns = tl.arange(0, 2 * HALF)
        context = join_splits(part, m_l, each, tl.num_programs(1), used, columns, columns < HEAD, HEAD, SPLITS)
        tl.store(out + each * HEAD + columns, context.to(out.dtype.element_ty), mask=columns < HEAD)
