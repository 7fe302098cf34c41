"""transformers' own deepseek_v2 in the small model's shape: its layers and a loop without a cache beside ours, and all
of it with its own `generate`."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DeepseekV2Config, DeepseekV2ForCausalLM, DynamicCache

from bench import table
from bench.decode import race
from bench.roofs import RoofMeter
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.operations import use
from dsvl2_app.model.random_weights import fill_random
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.runtime.cpu.decode import CompiledStep
from dsvl2_app.runtime.cpu.library import Library, find_compiler
from dsvl2_app.runtime.cpu.operations import CpuOperations

LAYERS = 4  # one dense, three with experts; all 27 do not fit into 24 GB in bfloat16
LAYERS_BYTES, WHOLE_BYTES = 10 * 10**9, 34 * 10**9  # of memory, for the layers twice or for the whole model
CONTEXT, PROMPT = 1000, 650
NEW_TOKENS, REPEATS = 32, 3
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
    ours, theirs = build_ours(config, device), build_theirs(config, device).model
    decode_one = with_kernels(ours) if device.type == "cpu" else ours.decode
    embeds = torch.randn(1, CONTEXT + 1, config.hidden_size, dtype=torch.bfloat16, device=device)
    cache, their_cache = KVCache(config, CONTEXT + 1), DynamicCache()
    ours(embeds[:, :CONTEXT], cache=cache)
    theirs(inputs_embeds=embeds[:, :CONTEXT], past_key_values=their_cache, use_cache=True)

    def step() -> None:
        cache.truncate(CONTEXT)
        decode_one(embeds[:, CONTEXT:], [cache])

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


@torch.inference_mode()
def generate(device: torch.device, meter: RoofMeter) -> dict[str, Any]:
    """All of small's layers with transformers' own `generate`: the tokens after the first one, by the difference of a
    long answer and a short one, in bfloat16."""
    model = build_theirs(DeepseekVL2Config.preset("small").language_config, device)
    prompt = torch.randint(3, model.config.vocab_size, (1, CONTEXT), device=device)

    def answer(tokens: int) -> object:
        options = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "use_cache": True}
        # transformers declares its `self` as a protocol that none of its models fulfils
        return model.generate(prompt, max_new_tokens=tokens, **options)  # pyright: ignore[reportAttributeAccessIssue]

    answer(2)  # warms up
    first, whole = (
        statistics.median(meter.time(lambda tokens=tokens: answer(tokens)) for _ in range(REPEATS))
        for tokens in (1, 1 + NEW_TOKENS)
    )
    seconds = (whole - first) / NEW_TOKENS
    return {"first_token": first, "seconds_per_token": seconds, "tokens_per_second": 1 / seconds}


def build_ours(config: DecoderConfig, device: torch.device) -> Decoder:
    with torch.device("meta"):
        decoder = Decoder(config).bfloat16().eval()
    fill_random(decoder.to_empty(device=device))
    return decoder


def with_kernels(decoder: Decoder) -> Callable[[Tensor, list[KVCache]], Tensor]:
    """`Decoder.decode` as a CPU's runner has it, with a library where a compiler builds one."""
    if not find_compiler():
        use(decoder, CpuOperations())
        return decoder.decode
    library = Library.build()
    use(decoder, CpuOperations(library))
    return CompiledStep(decoder, library)


def build_theirs(config: DecoderConfig, device: torch.device) -> DeepseekV2ForCausalLM:
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(translate(config), dtype=torch.bfloat16).eval()
    fill_random(model)
    model.generation_config.eos_token_id = None  # so that it writes on
    return model


def translate(config: DecoderConfig) -> DeepseekV2Config:
    shape = {name: getattr(config, name) for name in SHAPE}
    return DeepseekV2Config(**shape, num_key_value_heads=config.num_attention_heads)
