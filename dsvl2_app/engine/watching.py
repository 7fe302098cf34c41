# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and numpy leave the types of many tensors open.
"""Hooks that see what comes in and goes out of attention layers, routers and layers during one pass.

The layers themselves have no line for it, so an answer that nobody inspects costs nothing. Attention is computed anew
for the answer's tokens alone, from their queries and the keys (or latents) that the pass has cached.
T prompt tokens, A answer tokens, S tokens so far, n tokens of a chunk, H heads, L layers, K active experts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import DynamicCache

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, causal
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.experts import Router
from dsvl2_app.model.rotary import Rotary, rotary_angles

Attention = MultiHeadAttention | MultiHeadLatentAttention
Chunks = dict[int, list[np.ndarray]]  # layer -> what was seen in each chunk


@dataclass
class Watch:
    """The hooks of one pass, and what they have seen."""

    image: Tensor  # bool [T], True at tokens of images
    lens_layers: Collection[int]  # whose hidden states are kept
    cache: DynamicCache = field(default_factory=DynamicCache)
    attention: Chunks = field(default_factory=lambda: defaultdict(list))  # float16 [H, n, T]
    answer_attention: Chunks = field(default_factory=lambda: defaultdict(list))  # float16 [H, n]
    experts: Chunks = field(default_factory=lambda: defaultdict(list))  # [n, K]
    expert_weights: Chunks = field(default_factory=lambda: defaultdict(list))  # float16 [n, K]
    states: dict[int, list[Tensor]] = field(default_factory=lambda: defaultdict(list))  # of image tokens

    @property
    def first(self) -> int:
        """Position of the first token whose attention counts: the prompt's last, which chooses the first answer."""
        return len(self.image) - 1

    @contextmanager
    def on(self, decoder: Decoder) -> Generator[None, None, None]:
        hooks: list[RemovableHandle] = []
        for number, layer in enumerate(decoder.layers):
            see = self._see_attention(decoder.rotary_width, decoder.rotary_theta)
            hooks.append(layer.self_attn.register_forward_hook(see))
            if number in self.lens_layers:
                hooks.append(layer.register_forward_hook(self._see_state(number)))
            for module in layer.mlp.modules():
                if isinstance(module, Router):
                    hooks.append(module.register_forward_hook(self._see_choices(number)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def cached(self, layer: int) -> tuple[Tensor, Tensor]:
        found: Any = self.cache.layers[layer]  # transformers knows layers without keys as well
        return found.keys, found.values

    def _see_attention(self, rotary_width: int, theta: float) -> Callable[..., None]:
        def see(attention: Attention, given: tuple[Tensor, ...], _: Tensor) -> None:
            past = self.cache.get_seq_length(attention.layer)
            new, tokens = given[0].shape[1], len(self.image)
            if past - new < self.first:
                return
            positions = torch.arange(past - new, past, device=given[0].device)[None]
            rotary = rotary_angles(positions, rotary_width, theta)
            weights = attention_weights(attention, given[0], rotary, *self.cached(attention.layer))
            self.attention[attention.layer].append(weights[..., :tokens].half().cpu().numpy())
            self.answer_attention[attention.layer].append(weights[..., tokens:].sum(-1).half().cpu().numpy())

        return see

    def _see_choices(self, layer: int) -> Callable[..., None]:
        def see(router: Router, given: tuple[Tensor, ...], found: tuple[Tensor, Tensor]) -> None:
            weights, order = found[0].sort(dim=-1, descending=True, stable=True)
            kind = np.uint8 if len(router.weight) <= 256 else np.uint16
            self.experts[layer].append(found[1].gather(-1, order).cpu().numpy().astype(kind))
            self.expert_weights[layer].append(weights.half().cpu().numpy())

        return see

    def _see_state(self, layer: int) -> Callable[..., None]:
        def see(_: Any, __: tuple[Tensor, ...], hidden: Tensor) -> None:
            end = self.cache.get_seq_length(layer)
            start = end - hidden.shape[1]
            here = self.image[start:end].to(hidden.device)  # shorter than the chunk where that is of the answer
            self.states[layer].append(hidden[0, : len(here)][here])

        return see


def join(chunks: Chunks, axis: int) -> np.ndarray:
    """Of all layers that have seen something, in order; the axis is that of tokens within a chunk."""
    return np.stack([np.concatenate(chunks[layer], axis) for layer in sorted(chunks)])


def attention_weights(attention: Attention, hidden: Tensor, rotary: Rotary, first: Tensor, second: Tensor) -> Tensor:
    """How T tokens, the last of S, look at all S: hidden [1, T, D] and what the cache holds of the layer -> [H, T, S]
    float32. Every row sums to 1."""
    new, total = hidden.shape[1], first.shape[-2]
    if isinstance(attention, MultiHeadLatentAttention):  # absorbed, as in its `decode`
        q_nope, q_rope, _, _ = attention.project(hidden, rotary)
        to_keys, _ = attention.absorbed()
        scores = (q_nope @ to_keys @ first.mT + q_rope @ second.mT).float() * attention.scale
    else:
        queries, _, _ = attention.project(hidden, rotary)
        keys = first.repeat_interleave(queries.shape[1] // first.shape[1], dim=1)
        scores = (queries @ keys.mT).float() * attention.scale
    return scores.masked_fill(~causal(new, total, hidden.device), float("-inf")).softmax(-1)[0]
