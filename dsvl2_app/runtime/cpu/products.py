"""A few rows times matrices that are read once, compiled (matrices.h)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsvl2_app.model.int4 import inputs_of
from dsvl2_app.model.operations import Stack
from dsvl2_app.runtime.cpu.library import KINDS, WAKING_BYTES, Library, choose_threads, count_work, describe

FEW_ROWS = 16  # up to here weights are read from memory longer than they are multiplied
ROW_TYPES = (torch.float32, torch.bfloat16)
PLAIN_TYPES = (Tensor, nn.Parameter)  # not a subclass, whose numbers may lie elsewhere


def is_readable(rows: Tensor, weight: Tensor) -> bool:
    """Whether a compiled kernel may read these where they lie. None keeps what a gradient would need, reads what stands
    for numbers without holding them, or can be traced."""
    return (
        not torch.is_grad_enabled()
        and rows.is_cpu
        and rows.dtype in ROW_TYPES
        and weight.dtype in KINDS
        and type(weight) in PLAIN_TYPES
        and type(rows) in PLAIN_TYPES
        and not torch.compiler.is_compiling()
    )


class FewRows:
    """Kernels of `library` for up to `FEW_ROWS` rows."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def supports(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> bool:
        return is_readable(rows, weight) and rows.numel() <= FEW_ROWS * rows.shape[-1]

    def linear(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        return self._multiply(rows, weight, scale).to(rows.dtype).view(*rows.shape[:-1], -1)

    def supports_each(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> bool:
        return is_readable(rows, weights)

    def linear_each(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
        return self._multiply(rows, weights, scales, experts).to(rows.dtype)

    def supports_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> bool:
        """Whether each pair is sooner multiplied by itself than sorted by expert."""
        return len(hidden) <= FEW_ROWS and is_readable(hidden, gate_up[0])

    def _multiply(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor | None = None) -> Tensor:
        """Rows [P / pairs_per_row, D], weights [E, F, D] or [F, D], each matrix contiguous -> [P, F] float32."""
        *matrices, outputs, _ = weights.shape
        count = rows.numel() // inputs_of(weights)
        rows = rows.contiguous()
        wide = rows.float()
        pairs = count if experts is None else experts.shape[0]
        found = torch.empty(pairs, outputs)
        nbytes = count_work(weights if experts is None else weights[0]) * (1 if experts is None else pairs)
        self._library.call(
            "multiply_rows",
            describe(weights, scales),
            matrices[0] if matrices else 1,
            wide.data_ptr(),
            rows.data_ptr() if rows.dtype == torch.bfloat16 else None,
            None if experts is None else experts.data_ptr(),
            pairs,
            pairs // count,
            found.data_ptr(),
            threads=choose_threads(nbytes, WAKING_BYTES),
        )
        return found
