"""Latent attention of one token: queries absorbed into latent space, attention over latents, contexts expanded.

B rows, H heads, L latent rank, R rope width. `m_l`, highest and total are m and l of an online softmax, fade is its
alpha.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import LOWEST, await_inputs, join_splits, load_halves, rotate, store_halves


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
    m_l,  # [B, H, splits, 2] float32
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
        weights, fade = tl.exp(scores - above[:, None]), tl.exp(highest - above)
        total = total * fade + tl.sum(weights, 1)
        context = context * fade[:, None] + tl.dot(weights.to(latent.dtype), latent, input_precision="ieee")
        highest = above
    place = (row * H + heads) * tl.num_programs(1) + split
    tl.store(m_l + place * 2, highest, mask=real)
    tl.store(m_l + place * 2 + 1, total, mask=real)
    tl.store(part + place[:, None] * L + columns[None, :], context, mask=real[:, None] & inside[None, :])


@triton.jit
def expand(
    part,  # [B, H, splits, L] float32
    m_l,  # [B, H, splits, 2] float32
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
    context = join_splits(part, m_l, row * H + head, splits, used, columns, inside, L, SPLITS)
    moved = tl.sum(tile.to(tl.float32) * context[None, :], 1)
    tl.store(out + (row * H + head) * VALUE + numbers, moved.to(out.dtype.element_ty), mask=numbers < VALUE)
