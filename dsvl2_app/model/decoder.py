"""Embeds -> hidden states: the stack of attention and expert layers, with rotary angles and masks made once.

B batch, T new tokens, S tokens so far, D decoder width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from dsvl2_app.model.attention import Cache, MultiHeadAttention, MultiHeadLatentAttention, RMSNorm, visible
from dsvl2_app.model.cache import KVCache, capacity, count_each
from dsvl2_app.model.experts import MLP, MixtureOfExperts
from dsvl2_app.model.linear import Embedding
from dsvl2_app.model.rotary import Rotary, rotary_angles
from dsvl2_app.model.sections import DecoderConfig


class DecoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        attention = MultiHeadLatentAttention if config.use_mla else MultiHeadAttention
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        if config.is_dense(layer):
            self.mlp = MLP(config.hidden_size, config.intermediate_size)
        else:
            self.mlp = MixtureOfExperts(config)

    def forward(
        self,
        hidden: Tensor,
        rotary: Rotary,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        attentions: list[Tensor] | None = None,
        caches: Sequence[KVCache] | None = None,
    ) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotary, mask, cache, attentions, caches)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Decoder(nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.rotary_width = config.qk_rope_head_dim if config.use_mla else config.head_dim
        self.rotary_theta = config.rope_theta
        self.embed_tokens: nn.Embedding = Embedding(config.vocab_size, config.hidden_size)
        layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.layers = cast("Sequence[DecoderLayer]", layers)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    @property
    def recomputes(self) -> bool:
        """Whether layers run once more on the way back (gradient checkpointing)."""
        return self.training and torch.is_grad_enabled() and any(layer.gradient_checkpointing for layer in self.layers)

    def forward(
        self,
        embeds: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
        states: list[Tensor] | None = None,
        attentions: list[Tensor] | None = None,
    ) -> Tensor:
        """Embeds [B, T, D] -> normalised hidden states [B, T, D]; `mask` [B, S] is False at padding.

        `states` takes the embeds, what each layer but the last makes of them, and the result; `attentions` takes each
        layer's weights [B, H, T, S], which are then computed without fused kernels.
        """
        batch, new, _ = embeds.shape
        past = cache.get_seq_length() if cache is not None else 0
        if positions is None:
            positions = count_positions(mask, batch, past, new, embeds.device)
        rotary = rotary_angles(positions, self.rotary_width, self.rotary_theta)
        looks = visible(mask, new, past + new, embeds.device, capacity(cache))
        hidden = embeds
        for layer in self.layers:
            if states is not None:
                states.append(hidden)
            hidden = layer(hidden, rotary, looks, cache, attentions)
        hidden = self.norm(hidden)
        if states is not None:
            states.append(hidden)
        return hidden

    def decode(self, embeds: Tensor, caches: Sequence[KVCache]) -> Tensor:
        """One token of each of B conversations [B, 1, D] -> normalised hidden states [B, 1, D]."""
        rotary = rotary_angles(count_each(caches, embeds.device), self.rotary_width, self.rotary_theta)
        hidden = embeds
        for layer in self.layers:
            hidden = layer(hidden, rotary, caches=caches)
        return self.norm(hidden)


def count_positions(mask: Tensor | None, batch: int, past: int, new: int, device: torch.device) -> Tensor:
    """Position of each new token [B, T], counted without padding; a padded token gets 1, as officially."""
    if mask is None or mask.dim() == 4:
        return torch.arange(past, past + new, device=device).expand(batch, -1)
    counted = mask.long().cumsum(-1) - 1
    return counted.masked_fill(mask == 0, 1)[:, -new:]
