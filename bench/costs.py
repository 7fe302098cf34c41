"""What the work must cost, from the configuration alone: floating point operations, and bytes that must be read.

A multiplication and its addition are two operations; norms, softmax and other work per element count as free, so what
is measured against these numbers is rated too low rather than too high.
P patches per tile, V vision width, D decoder width, H heads, T tokens.
"""

from __future__ import annotations

import torch

from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.sections import DecoderConfig


def tile_flops(config: DeepseekVL2Config) -> int:
    """Encoding one tile: SigLIP, then the adaptor."""
    vision, adaptor = config.vision_config, config.projector_config
    patches, width = vision.patches**2, vision.width
    embedding = patches * 3 * vision.patch_size**2 * width
    linear = patches * (4 * width**2 + 2 * width * vision.mlp_width)  # qkv and output, MLP up and down
    attention = 2 * patches**2 * width  # scores and weighted values; heads share the width
    hidden = adaptor.n_embed * adaptor.mlp_ratio
    shuffled = adaptor.input_dim * adaptor.downsample_ratio**2
    layers = shuffled * hidden + (adaptor.depth - 2) * hidden**2 + hidden * adaptor.n_embed
    tokens = config.geometry.tokens_per_tile
    return 2 * (embedding + vision.layers * (linear + attention) + tokens * layers)


def prefill_flops(config: DecoderConfig, tokens: int) -> int:
    """A prompt of T tokens: every active weight once per token, and attention over T * T / 2 pairs. The output matrix
    is left out, because only the last token passes it."""
    values = config.v_head_dim if config.use_mla else config.head_dim
    pairs = tokens * (tokens + 1) // 2
    attention = config.num_hidden_layers * config.num_attention_heads * (config.head_dim + values) * pairs
    return 2 * (tokens * layer_weights(config) + attention)


def decode_bytes(
    config: DecoderConfig, context: int, dtype: torch.dtype, weight_bytes: float | None = None, batch: int = 1
) -> int:
    """One new token of each of `batch` answers: every weight that one of them needs and the cache of `context` tokens
    of each pass through memory once. Which experts tokens choose counts as independent."""
    distinct = 1 - (1 - (config.num_experts_per_tok or 0) / (config.n_routed_experts or 1)) ** batch
    dense = active_weights(config) - routed_weights(config) * (config.num_experts_per_tok or 0)
    weights = dense + distinct * routed_weights(config) * (config.n_routed_experts or 0)
    return int(weights * (weight_bytes or dtype.itemsize) + batch * context * cache_width(config) * dtype.itemsize)


def routed_weights(config: DecoderConfig) -> int:
    """One routed expert of every layer that has them."""
    layers = sum(not config.is_dense(layer) for layer in range(config.num_hidden_layers))
    return layers * 3 * config.hidden_size * (config.moe_intermediate_size or 0)


def cache_width(config: DecoderConfig) -> int:
    """Numbers that the cache holds per token."""
    return config.num_hidden_layers * config.cache_width


def active_weights(config: DecoderConfig) -> int:
    """Numbers in the matrices that one token passes, the output matrix included; of the input matrix it reads a row."""
    return layer_weights(config) + config.hidden_size * config.vocab_size


def layer_weights(config: DecoderConfig) -> int:
    layers = range(config.num_hidden_layers)
    return sum(_attention_weights(config) + _feed_forward_weights(config, layer) for layer in layers)


def _attention_weights(config: DecoderConfig) -> int:
    width, heads = config.hidden_size, config.num_attention_heads
    if not config.use_mla:
        return 2 * width * config.head_dim * (heads + config.num_key_value_heads)
    queries = heads * config.head_dim
    into = width * queries if config.q_lora_rank is None else config.q_lora_rank * (width + queries)
    latent = width * (config.kv_lora_rank + config.qk_rope_head_dim)
    expansion = config.kv_lora_rank * heads * (config.qk_nope_head_dim + config.v_head_dim)
    return into + latent + expansion + heads * config.v_head_dim * width


def _feed_forward_weights(config: DecoderConfig, layer: int) -> int:
    """Gate, up and down of the dense layer, or of the experts that one token passes, with their router."""
    width = config.hidden_size
    if config.is_dense(layer):
        return 3 * width * config.intermediate_size
    experts = config.num_experts_per_tok + (config.n_shared_experts or 0)
    return 3 * width * config.moe_intermediate_size * experts + width * config.n_routed_experts
