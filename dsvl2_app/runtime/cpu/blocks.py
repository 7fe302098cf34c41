"""What torch does faster on a CPU in another form, in bfloat16 and without gradients; no library is needed."""

from __future__ import annotations

import torch
from torch import Tensor

from dsvl2_app.model.operations import repeat_groups

HEADS_AT_ONCE = 4  # of a tile, whose scores stay in caches
QUERIES_AT_ONCE = 128
INT4_AT_ONCE = 2**22  # weights: a wide copy of a large matrix, with what making it takes, has a third of a gigabyte


def is_bfloat16(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.dtype == torch.bfloat16 and not torch.is_grad_enabled()


def supports_gelu(rows: Tensor, *_: Tensor) -> bool:
    return is_bfloat16(rows) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear_gelu(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU while the products are still in registers."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "gelu", [], "tanh")


def supports_causal(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> bool:
    return mask is None and queries.shape[2] > 1 and is_bfloat16(queries)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: None, scale: float) -> Tensor:
    """Causal attention as matrix products with scores in bfloat16, as the official code has them: no work for what lies
    ahead of a block of queries, and less than half the time of torch's kernel."""
    keys, values = repeat_groups(queries, keys, values)
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


def supports(queries: Tensor, *_: Tensor) -> bool:
    return is_bfloat16(queries)


def attend_all(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of all to all as matrix products with scores in bfloat16, for as many heads at once as caches hold. It
    takes less than half the time of torch's fused kernel."""
    context = torch.empty_like(queries.transpose(1, 2), memory_format=torch.contiguous_format)
    queries = queries * queries.shape[-1] ** -0.5
    for tile in range(queries.shape[0]):
        for first in range(0, queries.shape[1], HEADS_AT_ONCE):
            heads = slice(first, first + HEADS_AT_ONCE)
            weights = (queries[tile, heads] @ keys[tile, heads].mT).softmax(-1)
            context[tile, :, heads] = (weights @ values[tile, heads]).transpose(0, 1)
    return context
