"""What the kernels share: the wait for the kernel ahead, the last of several programs, and parts of their work."""

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


@triton.jit
def join_splits(part, m_l, place, splits, used, columns, real, WIDTH: tl.constexpr, SPLITS: tl.constexpr):
    """Softmax context of one head from that of its splits."""
    each = tl.arange(0, SPLITS)
    there = each < used
    own = m_l + (place * splits + each) * 2
    highest = tl.load(own, mask=there, other=LOWEST, cache_modifier=".cg")
    totals = tl.load(own + 1, mask=there, other=0, cache_modifier=".cg")
    contexts = tl.load(
        part + (place * splits + each[:, None]) * WIDTH + columns[None, :],
        mask=there[:, None] & real[None, :],
        other=0,
        cache_modifier=".cg",
    )
    weights = tl.where(there, tl.exp(highest - tl.max(highest)), 0.0)
    return tl.sum(contexts * weights[:, None], 0) / tl.sum(totals * weights)
