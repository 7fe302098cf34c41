"""What is done to every row of a prompt by itself: activation and rotation.

T tokens, H heads of queries, G of keys, R rope width.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import await_inputs, load_halves, rotate, store_halves


@triton.jit
def swiglu(rows, out, F: tl.constexpr, WIDTH: tl.constexpr, OVERLAP: tl.constexpr):
    """Rows [T, 2 F], gates before ups -> [T, F]."""
    columns, token = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.program_id(1)
    inside = columns < F
    await_inputs(OVERLAP)
    own = rows + token.to(tl.int64) * 2 * F + columns
    gate, up = load_halves(own, F, inside)
    gate = gate.to(tl.float32)
    inner = gate * tl.sigmoid(gate) * up.to(tl.float32)
    tl.store(out + token.to(tl.int64) * F + columns, inner.to(out.dtype.element_ty), mask=inside)


@triton.jit
def turn(
    queries,  # [B, H, T, R], of which the strides of batch, head and token follow
    keys,  # [B, G, T, R]
    cos,  # [B, T, R / 2] float32
    sin,
    turned_queries,  # [B, T, H, R]
    turned_keys,  # [B, T, G, R]
    T,
    query_batch,
    query_head,
    query_token,
    key_batch,
    key_head,
    key_token,
    H: tl.constexpr,
    G: tl.constexpr,
    R: tl.constexpr,
    PAIRS: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    """`HEADS` heads of one token, queries before keys, by its angles. Turned are number i against i + R / 2, or,
    with PAIRS, neighbours 2 i against 2 i + 1, which come out as all first ones before all second ones."""
    place, batch = tl.program_id(0), tl.program_id(0) // T
    token = place % T
    heads, half = tl.program_id(1) * HEADS + tl.arange(0, HEADS), tl.arange(0, HALF)
    real = (half < R // 2)[None, :]
    asks, answers = (heads < H)[:, None] & real, ((heads >= H) & (heads < H + G))[:, None] & real
    step = 2 if PAIRS else 1
    away = 1 if PAIRS else R // 2
    await_inputs(OVERLAP)
    cosines = tl.load(cos + place * (R // 2) + half, mask=half < R // 2, other=0)[None, :]
    sines = tl.load(sin + place * (R // 2) + half, mask=half < R // 2, other=0)[None, :]
    own = queries + batch.to(tl.int64) * query_batch + token.to(tl.int64) * query_token
    left, right = rotate(
        *load_halves(own + heads[:, None] * query_head + half[None, :] * step, away, asks), cosines, sines
    )
    target = turned_queries + (place.to(tl.int64) * H + heads[:, None]) * R + half[None, :]
    store_halves(target, R // 2, left, right, asks)
    own = keys + batch.to(tl.int64) * key_batch + token.to(tl.int64) * key_token
    own += (heads[:, None] - H) * key_head + half[None, :] * step
    left, right = rotate(*load_halves(own, away, answers), cosines, sines)
    target = turned_keys + (place.to(tl.int64) * G + heads[:, None] - H) * R + half[None, :]
    store_halves(target, R // 2, left, right, answers)
