"""The compiled step equals the layers' own forward, for every kind of decoder and number format that it may meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from dsvl2_app.engine.loading import load_engine
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.linear import turn_narrow
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.request import Request, Sampling
from dsvl2_app.runtime.cpu import decode
from dsvl2_app.runtime.cpu.decode import CompiledStep
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.runner import CpuRunner
from dsvl2_app.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Reference

REFERENCE = Path(__file__).parents[2] / "reference"
GROUNDING = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})

# sizes that no block, vector or thread count divides
HEADS = dict(use_mla=False, num_attention_heads=5, num_key_value_heads=5, hidden_size=30)
GROUPS = dict(use_mla=False, num_attention_heads=16, num_key_value_heads=2, hidden_size=224)
LATENT = dict(num_attention_heads=6, kv_lora_rank=70, qk_nope_head_dim=9, qk_rope_head_dim=4, v_head_dim=7)
SIGMOID = dict(scoring_func="sigmoid", topk_method="noaux_tc", norm_topk_prob=True, routed_scaling_factor=2.5)
DECODERS: dict[str, dict[str, Any]] = {
    "heads": HEADS,
    "groups": GROUPS | SIGMOID,
    "latent": LATENT | SIGMOID | dict(q_lora_rank=None),
    "latent, queries in two": LATENT | dict(q_lora_rank=11, n_shared_experts=None, norm_topk_prob=True),
    "dense": HEADS | dict(first_k_dense_replace=3),
}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}


def make(name: str, dtype: torch.dtype, quantize: str = "none") -> tuple[Decoder, DecoderConfig]:
    sizes = dict(hidden_size=83, vocab_size=20, intermediate_size=37, moe_intermediate_size=13, n_routed_experts=7)
    counts = dict(num_hidden_layers=3, num_experts_per_tok=3, n_shared_experts=2, first_k_dense_replace=1)
    config = DecoderConfig(**(sizes | counts | dict(topk_method="greedy") | DECODERS[name]))
    decoder, generator = Decoder(config).requires_grad_(False), torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        spread = 0.3 if parameter.dim() == 1 else 1.5 * parameter.shape[-1] ** -0.5
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (parameter.dim() == 1))
    for layer in decoder.layers:
        if hasattr(layer.mlp, "router"):
            layer.mlp.router.weight.mul_(3)  # so that rounding changes no choice
    decoder.to(dtype)
    for layer in decoder.layers:
        if getattr(getattr(layer.mlp, "router", None), "bias", None) is not None:
            layer.mlp.router.bias.data = layer.mlp.router.bias.float()
    if quantize != "none":
        turn_narrow(decoder, quantize)
    return decoder, config


def run(decoder: Decoder, config: DecoderConfig, batch: int, step: CompiledStep | None, steps: int = 2) -> list[Tensor]:
    """Hidden states of `steps` tokens of each of some conversations, and then all that their caches hold; without
    `step` as the plain layers make them."""
    generator, dtype = torch.Generator().manual_seed(1), decoder.norm.weight.dtype
    embeds = torch.randn(batch, 60, config.hidden_size, generator=generator).to(dtype)
    lengths = [(1, 6, 33, 17)[row % 4] + row for row in range(batch)]
    caches = [KVCache(config, length + steps) for length in lengths]
    found = []
    with torch.inference_mode():
        for row, cache in enumerate(caches):
            decoder(embeds[row : row + 1, : lengths[row]], cache=cache)
        for number in range(steps):
            tokens = torch.stack([embeds[row, lengths[row] + number] for row in range(batch)])[:, None]
            assert step is None or step.supports(tokens, caches)
            found.append((step or decoder.decode)(tokens, caches))
    assert [cache.get_seq_length() for cache in caches] == [length + steps for length in lengths]
    return found + [buffer for cache in caches for pair in cache.buffers for buffer in pair]


def compare(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype == dtype and one.shape == other.shape
        error = (one.float() - other.float()).norm(dim=-1) / other.float().norm(dim=-1)
        assert error.median() < TOLERANCE[dtype]
        if dtype == torch.float32:
            assert error.max() < 5 * TOLERANCE[dtype]


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(("batch", "threads"), [(1, 2), (2, 1), (5, 3), (16, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_step_equals_the_layers(
    library: Library,
    name: str,
    batch: int,
    threads: int,
    dtype: torch.dtype,
    quantize: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode, "choose_threads", lambda nbytes, least: threads)
    decoder, config = make(name, dtype, quantize)
    step = CompiledStep(decoder, library)
    compare(run(decoder, config, batch, step), run(decoder, config, batch, None), dtype)


def test_weights_that_moved_are_found(library: Library) -> None:
    decoder, config = make("latent", torch.float32)
    step = CompiledStep(decoder, library)
    before = run(decoder, config, 2, step)
    for parameter in decoder.parameters():
        parameter.data = parameter * 1.1
    after = run(decoder, config, 2, step)
    compare(after, run(decoder, config, 2, None), torch.float32)
    assert not torch.allclose(before[0], after[0])


def test_numbers_that_are_none_end_no_process(library: Library) -> None:
    """No expert is better than another then."""
    decoder, config = make("latent", torch.float32)
    decoder.embed_tokens.weight.fill_(float("nan"))
    decoder.layers[0].input_layernorm.weight.fill_(float("nan"))
    assert run(decoder, config, 5, CompiledStep(decoder, library))[0].isnan().all()


def test_what_the_step_does_not_know_goes_through_the_layers(library: Library) -> None:
    decoder, config = make("heads", torch.float32)
    embeds, filled = torch.zeros(1, 1, config.hidden_size), KVCache(config, 8)
    with torch.inference_mode():
        decoder(embeds, cache=filled)

    def supports(decoder: Decoder = decoder, embeds: Tensor = embeds, cache: KVCache = filled) -> bool:
        return CompiledStep(decoder, library).supports(embeds, [cache])

    with torch.inference_mode():
        assert supports() and not supports(cache=KVCache(config, 8))
        assert not supports(embeds=embeds.expand(17, -1, -1)) and not supports(embeds=embeds.half())
    assert not supports()  # a gradient may be wanted
    hooked, _ = make("heads", torch.float32)
    hooked.layers[1].mlp.register_forward_hook(lambda *arguments: None)
    other, _ = make("heads", torch.float32)
    other.layers[0].self_attn.q_proj = torch.nn.Sequential(other.layers[0].self_attn.q_proj)
    with torch.inference_mode():
        assert not supports(decoder=hooked) and not supports(decoder=other)


def test_a_full_cache_says_so(library: Library) -> None:
    decoder, config = make("heads", torch.float32)
    cache, embeds = KVCache(config, 1), torch.zeros(1, 1, config.hidden_size)
    with torch.inference_mode():
        decoder(embeds, cache=cache)
        for decode_one in (CompiledStep(decoder, library), decoder.decode):
            with pytest.raises(AssertionError, match="cache of 1 tokens"):
                decode_one(embeds, [cache])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["a_text", "f_multi_turn"])
def test_answers_of_the_reference_checkpoints_stay_exact(
    variant: str, case: str, open_reference: Callable[[str, str], Reference]
) -> None:
    reference = open_reference(variant, case)
    engine = load_engine(Settings(model=str(REFERENCE / variant / "checkpoint"), device="cpu", compile="on"))
    steps = engine.answer(Request(reference.conversations[0], Sampling(max_new_tokens=24), allow=GROUNDING))
    assert [step.token for step in steps if step.token is not None] == reference.arrays["generated_ids"][0].tolist()
    assert isinstance(engine.runner, CpuRunner) and engine.runner.compiled and engine.runner.compiled.table
