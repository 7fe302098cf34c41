"""transformers' own deepseek_v2 layers and a loop without a cache beside ours, in the small model's shape."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DeepseekV2Config, DeepseekV2Model, DynamicCache

from dsvl2_app.evaluation.bench import table
from dsvl2_app.evaluation.bench.decode import race
from dsvl2_app.evaluation.bench.roofs import RoofMeter
from dsvl2_app.model import weights
from dsvl2_app.model.cache import CacheBatch, KVCache
from dsvl2_app.model.configuration import DecoderConfig, DeepseekVL2Config
from dsvl2_app.model.decoder import Decoder

LAYERS = 4  # one dense, three with experts; all 27 do not fit into 24 GB in bfloat16
CONTEXT, PROMPT = 1000, 650
SHAPE = (  # what both configurations call alike
    *("hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("n_routed_experts", "n_shared_experts", "num_experts_per_tok", "first_k_dense_replace", "topk_method"),
    *("kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "norm_topk_prob"),
    *("vocab_size", "max_position_embeddings"),
)


@torch.inference_mode()
def measure(device: torch.device, meter: RoofMeter) -> dict[str, Any]:
    """Seconds per token and per prompt, for the same layers, in bfloat16."""
    config = DeepseekVL2Config.preset("small").language_config
    config.num_hidden_layers = LAYERS
    ours, theirs = build_ours(config, device), build_theirs(config, device)
    embeds = torch.randn(1, CONTEXT + 1, config.hidden_size, dtype=torch.bfloat16, device=device)
    cache, their_cache = KVCache(config, CONTEXT + 1), DynamicCache()
    ours(embeds[:, :CONTEXT], cache=cache)
    theirs(inputs_embeds=embeds[:, :CONTEXT], past_key_values=their_cache, use_cache=True)

    def step() -> None:
        cache.truncate(CONTEXT)
        ours.decode(embeds[:, CONTEXT:], CacheBatch([cache]))

    def their_step() -> None:
        if their_cache.get_seq_length() > CONTEXT:
            their_cache.crop(-1)
        theirs(inputs_embeds=embeds[:, CONTEXT:], past_key_values=their_cache, use_cache=True)

    names = ("ours", "transformers", "no cache")
    decode = dict(zip(names, race([step, their_step, lambda: ours(embeds)], meter), strict=True))
    prompt = embeds[:, :PROMPT]
    runs = [lambda: ours(prompt), lambda: theirs(inputs_embeds=prompt, use_cache=False)]
    prefill = dict(zip(names, race(runs, meter), strict=False))
    for what, seconds in (("token", decode), ("prompt", prefill)):
        for name, taken in seconds.items():
            table.show(f"{LAYERS} layers of small, {what}, {name}", taken, f"{taken / seconds['ours']:.1f} times ours")
    return {"layers": LAYERS, "context": CONTEXT, "decode": decode, "prompt": PROMPT, "prefill": prefill}


def build_ours(config: DecoderConfig, device: torch.device) -> Decoder:
    with torch.device(device):
        decoder = Decoder(config).bfloat16().eval()
    weights.fill_random(decoder)
    return decoder


def build_theirs(config: DecoderConfig, device: torch.device) -> DeepseekV2Model:
    shape = {name: getattr(config, name) for name in SHAPE}
    shape["num_key_value_heads"] = config.num_attention_heads
    with torch.device(device):
        model = DeepseekV2Model(DeepseekV2Config(**shape)).bfloat16().eval()
    weights.fill_random(model)
    return model
