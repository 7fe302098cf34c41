"""Norms of many tokens and the rotation of their queries and keys, compiled (rows.h), in bfloat16."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from dsvl2_app.model.rotary import Rotary
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.prefill import Heads
from dsvl2_app.runtime.cpu.products import is_readable

LANES = 16  # widths are multiples of it


class Rows:
    """Kernels of `library` for what is done to each token by itself."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def supports_norm(self, hidden: Tensor, weight: Tensor, *others: Tensor | float) -> bool:
        parts = (hidden, weight, *(part for part in others if isinstance(part, Tensor)))
        return hidden.shape[-1] % LANES == 0 and all(
            is_readable(part, part) and part.dtype == torch.bfloat16 for part in parts
        )

    def rms_norm(self, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        return self._normalise(hidden, weight, None, eps)

    def layer_norm(self, hidden: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return self._normalise(hidden, weight, bias, eps)

    def supports_rotation(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> bool:
        return all(
            is_readable(part, rotary.cos)
            and part.dtype == torch.bfloat16
            and part.stride(-1) == 1
            and part.shape[-1] % (2 * LANES) == 0
            and len(rotary.cos) == len(part)
            for part in (queries, keys)
        )

    def rotate_halves(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        return self._rotate(queries, rotary, False), self._rotate(keys, rotary, False)

    def rotate_pairs(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        return self._rotate(queries, rotary, True), self._rotate(keys, rotary, True)

    def _normalise(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
        hidden, width = hidden.contiguous(), hidden.shape[-1]
        out, added = torch.empty_like(hidden), None if bias is None else bias.data_ptr()
        given = hidden.data_ptr(), weight.data_ptr(), added, hidden.numel() // width, width, eps, out.data_ptr()
        self._library.call("normalise_rows", *given)
        return out

    def _rotate(self, part: Tensor, rotary: Rotary, neighbours: bool) -> Tensor:
        batch, heads, tokens, width = part.shape
        cos, sin = (angles.contiguous() for angles in rotary)
        out = part.new_empty(batch, heads, tokens, width)
        described = Heads(part.data_ptr(), *part.stride()[:3], width)
        places = ctypes.byref(described), cos.data_ptr(), sin.data_ptr()
        self._library.call("rotate_heads", *places, batch, heads, tokens, neighbours, out.data_ptr())
        return out
