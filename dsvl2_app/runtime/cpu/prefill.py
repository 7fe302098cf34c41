"""What a prompt and a picture need, compiled: attention of many queries (queries.h), experts of many tokens (groups.h).
Both are in bfloat16, for processors that multiply it in pairs."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from dsvl2_app.model.int4 import inputs_of
from dsvl2_app.model.operations import FEW_TOKENS, Stack
from dsvl2_app.runtime.cpu.blocks import is_bfloat16
from dsvl2_app.runtime.cpu.library import Library, describe, number, pointer

WIDTHS = {torch.bfloat16: 16, torch.int8: 32, torch.uint8: 16}  # widths of experts are multiples of it


class Heads(ctypes.Structure):
    """Tensor [B, H, T, width] and its strides."""

    _fields_ = (("numbers", pointer), *((name, number) for name in ("batch", "head", "token", "width")))


class Tokens(ctypes.Structure):
    """Activations [T, D], and experts [T, K] of each and their weights."""

    _fields_ = (
        *((name, pointer) for name in ("hidden", "experts", "weights")),
        *((name, number) for name in ("count", "width", "active")),
    )


class ManyTokens:
    """Kernels of `library` for prompts and tiles."""

    attend_function, experts_function = "attend_queries", "run_experts"

    def __init__(self, library: Library) -> None:
        self._library = library

    def supports(self, queries: Tensor, *_: Tensor) -> bool:
        return self._library.has_pairs and queries.shape[-1] % 2 == 0 and is_bfloat16(queries)

    def attend_all(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.attend(queries, keys, values, queries.shape[-1] ** -0.5, causal=False)

    def supports_causal(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> bool:
        return mask is None and queries.shape[2] > 1 and self.supports(queries)

    def attend_causal(self, queries: Tensor, keys: Tensor, values: Tensor, mask: None, scale: float) -> Tensor:
        return self.attend(queries, keys, values, scale, causal=True).transpose(1, 2)

    def supports_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> bool:
        multiple = WIDTHS.get(down[0].dtype, 0)
        return (
            self._library.has_pairs
            and len(hidden) > FEW_TOKENS
            and is_bfloat16(hidden)
            and multiple > 0
            and not any(width % multiple for width in (down[0].shape[1], inputs_of(down[0])))
        )

    def run_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        hidden, weights, experts = hidden.contiguous(), weights.contiguous(), experts.contiguous()
        tokens = Tokens(hidden.data_ptr(), experts.data_ptr(), weights.data_ptr(), *hidden.shape, experts.shape[1])
        return self._run(hidden, tokens, gate_up, down, len(down[0]))

    def _run(self, hidden: Tensor, tokens: Tokens, gate_up: Stack, down: Stack, experts: int) -> Tensor:
        out, stacks = torch.empty_like(hidden), (describe(*stack) for stack in (gate_up, down))
        self._library.call(self.experts_function, ctypes.byref(tokens), *stacks, experts, out.data_ptr())
        return out

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, scale: float, *, causal: bool) -> Tensor:
        """Softmax attention [B, H, T, K] x [B, G, S, K] -> [B, T, H, V], to all tokens or to those up to itself, of
        which the last query is the last."""
        batch, heads, new, _ = queries.shape
        groups, total, width = values.shape[1:]
        parts = [part if part.stride(-1) == 1 else part.contiguous() for part in (queries, keys, values)]
        out = torch.empty(batch, new, heads, width, dtype=queries.dtype)
        described = [Heads(part.data_ptr(), *part.stride()[:3], part.shape[3]) for part in parts]
        places = (ctypes.byref(part) for part in described)
        numbers = batch, heads, groups, new, total, causal
        self._library.call(self.attend_function, *places, *numbers, scale, out.data_ptr())
        return out
