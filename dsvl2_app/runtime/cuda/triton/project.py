"""Linear layers, with the norm before them and the sum with the residual stream.

B rows, D inputs, F outputs.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dsvl2_app.runtime.cuda.triton.common import await_inputs, load_scales, multiply, normalise, row_columns


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
