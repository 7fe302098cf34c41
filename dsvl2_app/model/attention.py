"""Attention of the decoder: multi-head (tiny) and multi-head latent (small, base; DeepSeek-V2 paper, section 2.1).

B batch, T new tokens, S tokens so far (T included), H heads, D decoder width, L latent rank (512), R rope width (64).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.model.cache import KVCache, update_each
from dsvl2_app.model.linear import Linear, is_bare
from dsvl2_app.model.operations import Operated, repeat_groups
from dsvl2_app.model.rotary import Rotary
from dsvl2_app.model.sections import DecoderConfig


class Cache(Protocol):
    """What both our `KVCache` and transformers' caches offer."""

    def update(self, first: Tensor, second: Tensor, layer_idx: int, /) -> tuple[Tensor, Tensor]: ...
    def get_seq_length(self, layer_idx: int = 0, /) -> int: ...


class RMSNorm(Operated):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        return self.operations.rms_norm(hidden, self.weight, self.eps)


class Attention(Operated):
    """What both kinds share: `layer` is the number by which caches know it, `scale` that of scores."""

    layer: int
    scale: float

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, attentions: list[Tensor] | None
    ) -> Tensor:
        """`Operations.attend`; where `attentions` is there, it takes the weights [B, H, T, S], computed in the open."""
        if attentions is None:
            return self.operations.attend(queries, keys, values, mask, self.scale)
        keys, values = repeat_groups(queries, keys, values)
        if mask is None:
            mask = causal(queries.shape[2], keys.shape[2], queries.device)
        scores = (queries @ keys.mT).float() * self.scale
        attentions.append(scores.masked_fill(~mask, float("-inf")).softmax(-1).to(values.dtype))
        return attentions[-1] @ values


class MultiHeadAttention(Attention):
    """Every head has its own keys and values, and both are cached."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim, self.scale = config.head_dim, config.head_dim**-0.5
        width, kv_width = config.hidden_size, config.num_key_value_heads * config.head_dim
        self.q_proj = Linear(width, config.num_attention_heads * self.head_dim)
        self.k_proj = Linear(width, kv_width)
        self.v_proj = Linear(width, kv_width)
        self.o_proj = Linear(config.num_attention_heads * self.head_dim, width)

    def forward(
        self,
        hidden: Tensor,
        rotary: Rotary,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        attentions: list[Tensor] | None = None,
        caches: Sequence[KVCache] | None = None,
    ) -> Tensor:
        """Hidden [B, T, D] -> [B, T, D]; with `caches` one token of each of B conversations [B, 1, D]."""
        queries, keys, values = self.project(hidden, rotary)
        if caches is not None:
            attend_one, known = self.operations.attend_one, update_each(caches, keys, values, self.layer)
            each = [attend_one(query[:, 0], *pair, self.scale) for query, pair in zip(queries, known, strict=True)]
            return self.o_proj(torch.stack(each).flatten(1)[:, None])
        if cache is not None:
            keys, values = cache.update(keys, values, self.layer)
        context = self.attend(queries, keys, values, mask, attentions)
        return self.o_proj(context.transpose(1, 2).flatten(2))

    def project(self, hidden: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, head], keys and values [B, G, T, head]; the first two are rotated."""
        queries, keys, values = (
            proj(hidden).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return *self.operations.rotate_halves(queries, keys, rotary), values


class MultiHeadLatentAttention(Attention):
    """Keys and values of all heads are projections of one normalised latent per token; only that latent and one
    rotated rope key, shared by all heads, are cached."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads = config.num_attention_heads
        self.rank, self.nope, self.rope = (
            config.kv_lora_rank,
            config.qk_nope_head_dim,
            config.qk_rope_head_dim,
        )
        self.value_dim, self.scale = config.v_head_dim, config.head_dim**-0.5
        width, query_width = config.hidden_size, self.heads * config.head_dim
        if config.q_lora_rank is None:
            self.q_proj = Linear(width, query_width)
        else:
            self.q_a_proj = Linear(width, config.q_lora_rank)
            self.q_a_layernorm = RMSNorm(config.q_lora_rank, config.rms_norm_eps)
            self.q_b_proj = Linear(config.q_lora_rank, query_width)
        self.kv_a_proj_with_mqa = Linear(width, self.rank + self.rope)
        self.kv_a_layernorm = RMSNorm(self.rank, config.rms_norm_eps)
        self.kv_b_proj = nn.Linear(self.rank, self.heads * (self.nope + self.value_dim), bias=False)
        self.o_proj = Linear(self.heads * self.value_dim, width)

    def forward(
        self,
        hidden: Tensor,
        rotary: Rotary,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        attentions: list[Tensor] | None = None,
        caches: Sequence[KVCache] | None = None,
    ) -> Tensor:
        """Hidden [B, T, D] -> [B, T, D]; with `caches` one token of each of B conversations [B, 1, D]."""
        q_nope, q_rope, latent, rope_key = self.project(hidden, rotary)
        if caches is not None:
            known = update_each(caches, latent, rope_key, self.layer)
            return self.o_proj(self._decode_each(q_nope, q_rope, known)[:, None])
        if cache is not None:
            latent, rope_key = cache.update(latent, rope_key, self.layer)
        if hidden.shape[1] == 1 and attentions is None and is_bare(self.kv_b_proj):
            context = self.decode(q_nope, q_rope, latent, rope_key, mask)  # [B, H, T, value]
        else:
            context = self.prefill(q_nope, q_rope, latent, rope_key, mask, attentions)
        return self.o_proj(context.transpose(1, 2).flatten(2))

    def prefill(
        self,
        q_nope: Tensor,
        q_rope: Tensor,
        latent: Tensor,
        rope_key: Tensor,
        mask: Tensor | None,
        attentions: list[Tensor] | None = None,
    ) -> Tensor:
        """Expanded: latents become keys and values of every head, cheap per pair of tokens, right for many queries."""
        expanded = self.kv_b_proj(latent.squeeze(1)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k_nope, values = expanded.split((self.nope, self.value_dim), dim=-1)
        keys = torch.cat((k_nope, rope_key.expand(-1, self.heads, -1, -1)), dim=-1)
        return self.attend(torch.cat((q_nope, q_rope), dim=-1), keys, values, mask, attentions)

    def decode(self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, rope_key: Tensor, mask: Tensor | None) -> Tensor:
        """Absorbed: queries move into latent space and the context moves out of it, so that one query reads each
        cached latent once and expands none."""
        to_keys, to_values = self.absorbed()
        q_latent = q_nope @ to_keys  # [B, H, 1, L]
        scores = (q_latent @ latent.mT + q_rope @ rope_key.mT).float() * self.scale  # [B, H, 1, S]
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        context = scores.softmax(-1).to(latent.dtype) @ latent  # [B, H, 1, L]
        return context @ to_values.mT

    def _decode_each(self, q_nope: Tensor, q_rope: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One token [B, H, 1, ...] of several conversations, each over its latents [1, S, ...] -> [B, H * value]."""
        if not is_bare(self.kv_b_proj):
            rows = zip(q_nope.split(1), q_rope.split(1), known, strict=True)
            expanded = [self.prefill(nope, rope, one[None], key[None], None) for nope, rope, (one, key) in rows]
            return torch.cat(expanded).flatten(1)
        q_nope, q_rope = q_nope[:, :, 0], q_rope[:, :, 0]
        to_keys, to_values = self.absorbed()
        q_latent = (q_nope.transpose(0, 1) @ to_keys).transpose(0, 1)  # [B, H, L]
        each = [
            self.operations.attend_one(query, latent, latent, self.scale, rope=(rope, rope_key))
            for query, rope, (latent, rope_key) in zip(q_latent, q_rope, known, strict=True)
        ]
        context = torch.stack(each)  # [B, H, L]
        return (context.transpose(0, 1) @ to_values.mT).transpose(0, 1).flatten(1)

    def absorbed(self) -> tuple[Tensor, Tensor]:
        """The halves of a bare kv_b_proj: into keys [H, nope, L] and into values [H, value, L]."""
        weight = self.kv_b_proj.weight.unflatten(0, (self.heads, -1))
        return weight[:, : self.nope], weight[:, self.nope :]

    def project(self, hidden: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries [B, H, T, nope] and [B, H, T, R]; normalised latent [B, 1, T, L] and rope key [B, 1, T, R], which the
        cache keeps. Both rope parts are rotated."""
        if hasattr(self, "q_proj"):
            queries = self.q_proj(hidden)
        else:
            queries = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(hidden)))
        queries = queries.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q_nope, q_rope = queries.split((self.nope, self.rope), dim=-1)
        latent, rope_key = self.kv_a_proj_with_mqa(hidden)[:, None].split((self.rank, self.rope), dim=-1)
        q_rope, rope_key = self.operations.rotate_pairs(q_rope, rope_key, rotary)
        return q_nope, q_rope, self.kv_a_layernorm(latent), rope_key


def causal(new: int, total: int, device: torch.device) -> Tensor:
    """Which of S tokens each of the T last may look at: itself and all before [T, S]."""
    return torch.ones(new, total, dtype=torch.bool, device=device).tril(total - new)


def visible(
    mask: Tensor | None, new: int, total: int, device: torch.device, capacity: int | None = None
) -> Tensor | None:
    """Which of S tokens each of T new ones may look at, [B, 1, T, S] bool; None where that is all up to itself.

    `mask` [B, S] is False at padding. A padded query still sees itself: a row of nothing would be NaN, and NaN
    spreads through values even where their weight is 0. A mask of four dimensions is taken as it is, or, of numbers
    to add to scores, where they are not negative. A cache that always hands out `capacity` tokens is never looked at
    beyond S.
    """
    if mask is not None and mask.dim() == 4:
        return mask >= 0 if mask.is_floating_point() else mask
    whole = mask is None or (not torch.compiler.is_compiling() and bool(mask.all()))
    if whole and capacity is None:
        return None
    looks = causal(new, total, device)
    if mask is not None and not whole:
        itself = torch.eye(total, dtype=torch.bool, device=device)[total - new :]
        looks = (looks & mask.bool()[:, None, None, :]) | itself
    return looks if capacity is None else F.pad(looks, (0, capacity - total))
