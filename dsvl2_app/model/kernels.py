"""The one place where kernels are chosen, for what decides speed: products with weights, and attention.

One token passes every active weight once, so decode on a CPU is as fast as memory is read; torch's matrix products
reach a third to a half of that for a handful of rows, the compiled ones (`compiled`, cpu/kernels.c) all of it. Whatever
is chosen, the plain way stands beside it and gives the same result. Prompts and pictures in bfloat16 have kernels of
their own on a CPU, see `cpu.prompt`. A whole step of decode is one compiled call, see `cpu.step`, and on a GPU a graph
of fused kernels, see `gpu.step`.

int8 weights come with a float32 scale per output channel: `weight[f, d] * scale[f]`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right

from dsvl2_app.model import compiled
from dsvl2_app.model.cpu import prompt

FEW_ROWS = 16  # up to here weights are read from memory longer than they are multiplied
HEADS_AT_ONCE = 4  # of a tile, whose scores stay in caches
QUERIES_AT_ONCE = 128
PLAIN_TYPES = (Tensor, nn.Parameter)  # not a subclass, whose numbers may lie elsewhere
FEW_ROWS_PLAIN = 4  # the same for torch's matrix products, one per (token, expert) pair


# -- matrices -----------------------------------------------------------------------------------------------------


def linear(rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
    """Rows [..., D] times weight [F, D] -> [..., F]."""
    if fits(rows, weight) and rows.numel() <= FEW_ROWS * rows.shape[-1]:
        return compiled.multiply(rows, weight, scale).to(rows.dtype).view(*rows.shape[:-1], -1)
    return _linear_plain(rows, weight, scale)


def linear_each(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
    """Pair p multiplies row `p // share` of rows [P / share, D] with weights[experts[p]] [E, F, D] -> [P, F]."""
    if fits(rows, weights):
        return compiled.multiply(rows, weights, scales, experts).to(rows.dtype)
    rows = rows.repeat_interleave(experts.shape[0] // rows.shape[0], dim=0)
    if rows.device.type == "cpu":  # indexing a stack with a number is a view, with a tensor a copy
        each = zip(rows.split(1), experts.tolist(), strict=True)
        return torch.cat([_linear_plain(row, weights[e], _of(scales, e)) for row, e in each])
    products = torch.einsum("pd,pfd->pf", rows, weights[experts].to(rows.dtype))
    return products if scales is None else (products * scales[experts]).to(rows.dtype)


def prefers_each(rows: Tensor, weights: Tensor) -> bool:
    """Whether `linear_each` beats `linear_groups` for rows [T, D]."""
    return rows.shape[0] <= (FEW_ROWS if fits(rows, weights) else FEW_ROWS_PLAIN)


def prefers_prompt(hidden: Tensor, down: Tensor) -> bool:
    """Whether `prompt.run_experts` takes hidden [T, D] through experts with such a second matrix [E, D, F]."""
    return not prefers_each(hidden, down) and prompt.can_run_experts(hidden, down)


def linear_groups(rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
    """Rows [P, D] sorted by expert, `counts[e]` of them for weights[e] [E, F, D] -> [P, F]."""
    if rows.is_cuda and hasattr(F, "grouped_mm"):
        if torch.is_autocast_enabled("cuda"):  # which does not know grouped_mm
            rows, weights = rows.bfloat16(), weights.bfloat16()
        if rows.dtype == torch.bfloat16:
            ends = counts.cumsum(0)
            products = F.grouped_mm(rows, weights.bfloat16().mT, offs=ends.to(torch.int32))
            if scales is None:
                return products
            experts = torch.searchsorted(ends, torch.arange(len(rows), device=rows.device), right=True)
            return (products * scales[experts]).to(rows.dtype)
    groups = enumerate(rows.split(counts.tolist()))
    return torch.cat([_linear_plain(group, weights[e], _of(scales, e)) for e, group in groups])


def _linear_plain(rows: Tensor, weight: Tensor, scale: Tensor | None) -> Tensor:
    """int8 becomes the rows' format exactly; its scales are the outputs' and wait until these are there."""
    products = F.linear(rows, weight.to(rows.dtype))
    return products if scale is None else (products * scale).to(rows.dtype)


def _of(scales: Tensor | None, expert: int) -> Tensor | None:
    return None if scales is None else scales[expert]


def linear_gelu(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU (tanh) of a linear layer, in bfloat16 on a CPU while the products are still in registers."""
    if _is_bfloat16_on_cpu(rows) and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "gelu", [], "tanh")
    return F.gelu(F.linear(rows, weight, bias), approximate="tanh")


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [..., F, D] -> int8 weight and float32 scale [..., F], symmetric per output channel."""
    wide = weight.float()
    scale = wide.abs().amax(-1).clamp_(min=1e-12) / 127
    return (wide / scale[..., None]).round_().to(torch.int8), scale


# -- attention ----------------------------------------------------------------------------------------------------


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Softmax attention [B, H, T, K] x [B, G, S, K] -> [B, H, T, V]; `mask` True = may look. Without one every token
    looks at itself, the last of S, and at all before.

    On a CPU torch's fast kernel wants keys and values of one width and one number of heads, and falls back to a slow
    one without a word, so narrower values are padded for it.
    """
    new, total = queries.shape[2], keys.shape[2]
    if mask is None and new > 1 and prompt.can_attend(queries):
        return prompt.attend(queries, keys, values, scale, causal=True).transpose(1, 2)
    if keys.shape[1] != queries.shape[1]:
        groups = queries.shape[1] // keys.shape[1]
        keys, values = keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1)
    if mask is None and new > 1 and _is_bfloat16_on_cpu(queries):
        return _attend_in_blocks(queries, keys, values, scale)
    width = values.shape[-1]
    if width < keys.shape[-1]:
        values = F.pad(values, (0, keys.shape[-1] - width))
    causal = mask is None and new == total > 1
    if mask is None and 1 < new < total:
        mask = causal_lower_right(new, total)
    context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal, scale=scale)
    return context[..., :width]


def _attend_in_blocks(queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """`attend` without a mask as matrix products with scores in bfloat16, as the official code has them: no work for
    what lies ahead of a block of queries, and less than half the time of torch's kernel on a CPU."""
    new, past = queries.shape[2], keys.shape[2] - queries.shape[2]
    context = torch.empty(*queries.shape[:3], values.shape[-1], dtype=queries.dtype)
    ahead = torch.full((QUERIES_AT_ONCE, QUERIES_AT_ONCE), float("-inf"), dtype=queries.dtype).triu(1)
    for first in range(0, new, QUERIES_AT_ONCE):
        block = slice(first, min(first + QUERIES_AT_ONCE, new))
        end, size = past + block.stop, block.stop - first
        scores = (queries[:, :, block] * scale) @ keys[:, :, :end].mT
        scores[..., end - size :] += ahead[:size, :size]
        context[:, :, block] = scores.softmax(-1) @ values[:, :, :end]
    return context


def attend_all(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention of every patch to every patch [N, H, P, width] -> [N, P, H, width].

    torch's fused kernel is slow in bfloat16 on a CPU. There matrix products with scores in bfloat16, for as many
    heads at once as caches hold, take less than half its time.
    """
    if prompt.can_attend(queries):
        return prompt.attend(queries, keys, values, queries.shape[-1] ** -0.5, causal=False)
    if not _is_bfloat16_on_cpu(queries):
        return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)
    context = torch.empty_like(queries.transpose(1, 2), memory_format=torch.contiguous_format)
    queries = queries * queries.shape[-1] ** -0.5
    for tile in range(queries.shape[0]):
        for first in range(0, queries.shape[1], HEADS_AT_ONCE):
            heads = slice(first, first + HEADS_AT_ONCE)
            weights = (queries[tile, heads] @ keys[tile, heads].mT).softmax(-1)
            context[tile, :, heads] = (weights @ values[tile, heads]).transpose(0, 1)
    return context


def attend_one(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """One token's query [H, K] over keys [G, S, K] and values [G, S, V], heads in G groups -> context [H, V].

    `rope` is a second part of query [H, R] and keys [G, S, R] whose products are added.
    """
    heads, groups = query.shape[0], keys.shape[0]
    scores = query.float().unflatten(0, (groups, heads // groups)) @ keys.float().mT  # [G, H / G, S]
    if rope is not None:
        scores = scores + rope[0].float().unflatten(0, (groups, heads // groups)) @ rope[1].float().mT
    return ((scores * scale).softmax(-1) @ values.float()).flatten(0, 1).to(query.dtype)


# -- which ones fit -----------------------------------------------------------------------------------------------


def fits(rows: Tensor, weight: Tensor) -> bool:
    """Whether a compiled kernel takes these. None keeps what a gradient would need, reads what stands for numbers
    without holding them, or can be traced."""
    return (
        compiled.is_built()
        and not torch.is_grad_enabled()
        and rows.is_cpu
        and rows.dtype in compiled.ROW_TYPES
        and weight.dtype in compiled.KINDS
        and type(weight) in PLAIN_TYPES
        and type(rows) in PLAIN_TYPES
        and not torch.compiler.is_compiling()
    )


def _is_bfloat16_on_cpu(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.dtype == torch.bfloat16 and not torch.is_grad_enabled()
