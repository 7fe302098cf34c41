"""What a prompt and a picture need on a CPU, compiled: attention of many queries (queries.h), experts of many tokens
(groups.h). Both in bfloat16, for processors that multiply it in pairs; the plain equivalents are in `kernels` and
`experts`.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from dsvl2_app.model import compiled
from dsvl2_app.model.compiled import describe

LANES = {torch.bfloat16: 16, torch.int8: 32}  # widths are multiples of it

pointer, number = ctypes.c_void_p, ctypes.c_long


class Heads(ctypes.Structure):
    """Tensor [B, H, T, width] and its strides."""

    _fields_ = (("numbers", pointer), *((name, number) for name in ("batch", "head", "token", "width")))


class Tokens(ctypes.Structure):
    """Activations [T, D], and experts [T, K] of each and their weights."""

    _fields_ = (
        *((name, pointer) for name in ("hidden", "experts", "weights")),
        *((name, number) for name in ("count", "width", "active")),
    )


def can_attend(queries: Tensor) -> bool:
    """Queries [B, H, T, K]."""
    return compiled.has_panels() and queries.shape[-1] % 2 == 0 and _is_read_only_bfloat16(queries)


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float, *, causal: bool) -> Tensor:
    """Softmax attention [B, H, T, K] x [B, G, S, K] -> [B, T, H, V], to all tokens or to those up to itself, of which
    the last query is the last."""
    batch, heads, new, _ = queries.shape
    groups, total, width = values.shape[1:]
    parts = [part if part.stride(-1) == 1 else part.contiguous() for part in (queries, keys, values)]
    out = torch.empty(batch, new, heads, width, dtype=queries.dtype)
    described = [Heads(part.data_ptr(), *part.stride()[:3], part.shape[3]) for part in parts]
    places = (ctypes.byref(part) for part in described)
    compiled.call("attend_queries", *places, batch, heads, groups, new, total, causal, scale, out.data_ptr())
    return out


def can_run_experts(hidden: Tensor, down: Tensor) -> bool:
    """Hidden [T, D], down [E, D, F]."""
    return (
        compiled.has_panels()
        and _is_read_only_bfloat16(hidden)
        and down.dtype in LANES
        and not any(width % LANES[down.dtype] for width in down.shape[1:])
    )


def run_experts(
    hidden: Tensor,
    weights: Tensor,
    experts: Tensor,
    gate_up: tuple[Tensor, Tensor | None],
    down: tuple[Tensor, Tensor | None],
) -> Tensor:
    """Hidden [T, D], weights and experts [T, K]; stacks [E, 2 * F, D] and [E, D, F] with scales where they are int8 ->
    the weighted sum of the chosen experts' outputs [T, D]."""
    hidden, weights, experts = hidden.contiguous(), weights.contiguous(), experts.contiguous()
    tokens = Tokens(hidden.data_ptr(), experts.data_ptr(), weights.data_ptr(), *hidden.shape, experts.shape[1])
    out = torch.empty_like(hidden)
    stacks = (describe(*stack) for stack in (gate_up, down))
    compiled.call("run_experts", ctypes.byref(tokens), *stacks, len(down[0]), out.data_ptr())
    return out


def _is_read_only_bfloat16(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.dtype == torch.bfloat16 and not torch.is_grad_enabled()
