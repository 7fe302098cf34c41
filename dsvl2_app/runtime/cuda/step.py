"""One decode step on a GPU: the kernels in Triton in order, on the weights of a decoder and a pool of caches.

Gives what the layers' own forward gives, to rounding. B rows that decode, D decoder width.
"""

from __future__ import annotations

from torch import Tensor

from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.linear import Linear
from dsvl2_app.runtime.cuda.attention import FusedAttention, Pool
from dsvl2_app.runtime.cuda.experts import FusedExperts
from dsvl2_app.runtime.cuda.launcher import Launcher


class FusedStep:
    """Tokens and positions [B] -> logits [B, vocabulary], for caches that are rows of `buffers` (see `decode`)."""

    def __init__(self, decoder: Decoder, lm_head: Linear, buffers: list[Pool], length: int) -> None:
        """`length` bounds the positions."""
        self.decoder, self.lm_head, self.buffers = decoder, lm_head, buffers
        self.launcher = Launcher(lm_head.weight.device)
        self.attend = FusedAttention(self.launcher, decoder, length, len(buffers[0][0]))
        self.run_experts = FusedExperts(self.launcher, self.attend.arrivals, self.attend.frequencies)

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        hidden = self.decoder.embed_tokens(tokens)
        for layer, pool in zip(self.decoder.layers, self.buffers, strict=True):
            context = self.attend(layer.self_attn, layer.input_layernorm, hidden, positions, pool)
            hidden = self.launcher.project(context, layer.self_attn.o_proj, residual=hidden)
            hidden = self.run_experts(layer, hidden)
        return self.launcher.project(hidden, self.lm_head, norm=self.decoder.norm)
