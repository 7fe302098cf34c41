"""How many seconds of a GPU an answer asks for on ZeroGPU, which stops what takes longer and takes shorter ones first.

The model runs in plain torch there. Each figure below is one that docs/performance.md measured on an H200, or an
assumption that says so; ZeroGPU's own GPUs were not measured, for which `MARGIN` makes up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsvl2_app.request import PromptPlan

MARGIN = 2.0
START = 3.0  # a process that sees the GPU; assumed
BYTES_PER_SECOND = 1.9e9  # of weights on their way to the GPU: 6.7 GB were read from a disk in 3.6 s
LAYER = 1.5e-3  # a layer of a decode step, or of a chunk: 76, 25 and 24 tokens/s through 12, 27 and 30 layers
PROMPT_TOKEN = 34e-6  # 67 ms for 2,000 tokens of base
TILE = 10e-3  # 1.5 ms are measured where 16 tiles are encoded together
PICTURE = 0.3  # reading it, a process to decode it, and cutting it on a CPU: 0.16 s are measured for 12 megapixels
PIXEL = 66e-9  # decoding it: 38 to 66 ns of a processor for PNG, WebP, HEIC and AVIF with cutting; a JPEG takes 7 to 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """`weights` bytes through `layers` layers, `chunk` tokens of a prompt at once; at most `limit` seconds."""

    weights: int
    layers: int
    chunk: int
    limit: int

    def answer(self, plan: PromptPlan, max_new_tokens: int) -> int:
        """Whole seconds, because `spaces` drops fractions."""
        new = max(0, min(max_new_tokens, plan.tokens_left))
        return self._add_up(plan, self._pass(plan.tokens, self.chunk) + new * self.layers * LAYER)

    def inspection(self, plan: PromptPlan, answer_tokens: int, rows: int) -> int:
        """Of one more pass over prompt and answer, `rows` tokens of the answer at once."""
        return self._add_up(plan, self._pass(plan.tokens, self.chunk) + self._pass(answer_tokens, rows))

    def _pass(self, tokens: int, chunk: int) -> float:
        return math.ceil(tokens / chunk) * self.layers * LAYER + tokens * PROMPT_TOKEN

    def _add_up(self, plan: PromptPlan, work: float) -> int:
        tiles = sum(layout.num_tiles for layout in plan.layouts)
        pictures = len(plan.layouts) * PICTURE + plan.decoded * PIXEL + tiles * TILE
        seconds = START + self.weights / BYTES_PER_SECOND + pictures + work
        return min(self.limit, math.ceil(MARGIN * seconds))
