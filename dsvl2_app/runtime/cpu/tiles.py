"""What a prompt and a picture need on a matrix unit (Intel AMX): dense layers (tile_linear.h), experts of many tokens
(tile_experts.h) and attention of many queries (tile_attention.h). Activations are bfloat16. Weights are that; or int8,
which meets activations as int8 with a scale per token; or int4, which is unpacked to bfloat16 a few rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from dsvl2_app.model.int4 import inputs_of
from dsvl2_app.model.operations import FEW_TOKENS, Stack
from dsvl2_app.runtime.cpu.library import describe
from dsvl2_app.runtime.cpu.prefill import ManyTokens, Tokens
from dsvl2_app.runtime.cpu.products import FEW_ROWS, is_readable

STEPS = {torch.bfloat16: 32, torch.uint8: 32, torch.int8: 64}  # widths of experts are multiples of it: inputs of a step
LANES = 16  # of int8 rows, which are multiples of it


class Tiles(ManyTokens):
    """Kernels of `library` for more than `FEW_ROWS` rows."""

    attend_function, experts_function = "tile_attend", "tile_experts"

    def supports(self, queries: Tensor, *_: Tensor) -> bool:
        return self._library.has_tiles and is_readable(queries, queries) and queries.dtype == torch.bfloat16

    def supports_linear(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> bool:
        outputs, inputs = weight.shape[0], inputs_of(weight)
        return (
            self.supports(rows)
            and is_readable(rows, weight)
            and weight.dtype in STEPS
            and weight.is_contiguous()
            and rows.numel() > FEW_ROWS * inputs
            and outputs % 2 == 0
            and (weight.dtype != torch.int8 or inputs % LANES == 0)
        )

    def linear(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        return self._multiply(rows, weight, scale)

    def supports_bias(self, rows: Tensor, weight: Tensor, bias: Tensor) -> bool:
        return self.supports_linear(rows, weight) and bias.dtype == torch.bfloat16 and is_readable(rows, bias)

    def linear_bias(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self._multiply(rows, weight, bias=bias)

    def linear_gelu(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self._multiply(rows, weight, bias=bias, gelu=True)

    def supports_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> bool:
        return len(hidden) > FEW_TOKENS and self._fit(hidden, gate_up[0], down[0])

    def supports_feed_forward(self, hidden: Tensor, gate_up: Stack, down: Stack) -> bool:
        return hidden.numel() > FEW_ROWS * hidden.shape[-1] and self._fit(hidden, gate_up[0], down[0])

    def feed_forward(self, hidden: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        """One expert that every token passes."""
        hidden = hidden.contiguous()
        tokens = Tokens(hidden.data_ptr(), None, None, hidden.numel() // hidden.shape[-1], hidden.shape[-1], 1)
        return self._run(hidden, tokens, gate_up, down, 1)

    def _fit(self, hidden: Tensor, *stacks: Tensor) -> bool:
        return self.supports(hidden) and all(
            is_readable(hidden, stack)
            and stack.is_contiguous()
            and stack.dtype in STEPS
            and not any(width % STEPS[stack.dtype] for width in (stack.shape[-2], inputs_of(stack)))
            for stack in stacks
        )

    def _multiply(
        self,
        rows: Tensor,
        weight: Tensor,
        scale: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        gelu: bool = False,
    ) -> Tensor:
        rows, outputs, inputs = rows.contiguous(), weight.shape[0], inputs_of(weight)
        out = rows.new_empty(*rows.shape[:-1], outputs)
        self._library.call(
            "tile_linear",
            rows.data_ptr(),
            rows.numel() // inputs,
            describe(weight, scale),
            None if bias is None else bias.data_ptr(),
            gelu,
            out.data_ptr(),
        )
        return out
