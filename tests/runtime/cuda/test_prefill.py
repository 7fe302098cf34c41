"""A prompt that is fed with others behind it leaves what it leaves alone; the last test records graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from dsvl2_app import DeepseekVL2Config
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cuda import prefill
from dsvl2_app.runtime.cuda.prefill import GraphPrefill

Model = DeepseekVL2ForConditionalGeneration


@torch.inference_mode()
@pytest.mark.parametrize("tokens", [[37, 5, 16], [16, 33]])  # one after the other, in the same memory
def test_lengths_are_rounded_up_unseen(
    load_on_device: Callable[[str], Model], variant: str, tokens: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefill, "BUCKET", 16)
    model = load_on_device(variant)
    config = model.config.language_config
    feed = GraphPrefill(model.decoder, config)
    monkeypatch.setattr(feed, "_run", feed._run.run)  # experts in float32 cannot be recorded
    for count in tokens:
        embeds = torch.randn(1, count, config.hidden_size, device=model.device)
        cache, alone = KVCache(config, 60), KVCache(config, 60)
        found, expected = feed(embeds, cache), model.decoder(embeds, cache=alone)[:, -1:]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert cache.get_seq_length() == count
        for pair, others in zip(cache.buffers, alone.buffers, strict=True):
            for part, other in zip(pair, others, strict=True):
                torch.testing.assert_close(part[:, :, :count], other[:, :, :count], atol=1e-5, rtol=1e-5)


def test_only_fresh_conversations_that_are_not_too_long_fit(
    load_on_device: Callable[[str], Model], variant: str
) -> None:
    model = load_on_device(variant)
    config = model.config.language_config
    feed, fresh = GraphPrefill(model.decoder, config), KVCache(config, 60)
    assert feed.supports(prefill.MOST, fresh)
    assert not feed.supports(prefill.MOST + 1, fresh)
    model.decoder(torch.zeros(1, 3, config.hidden_size, device=model.device), cache=fresh)
    assert not feed.supports(3, fresh)


@pytest.mark.parametrize("triton", [True, False])
@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (12, 0)])
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.int8, torch.uint8])
def test_prompts_are_recorded_where_nothing_asks_the_cpu(
    monkeypatch: pytest.MonkeyPatch, triton: bool, capability: tuple[int, int], stored: torch.dtype
) -> None:
    decoder = Model.from_random(DeepseekVL2Config.preset("nano"), "bfloat16", seed=0).decoder
    for stacks in (each for each in decoder.modules() if isinstance(each, Experts)):
        stacks.gate_up = nn.Parameter(stacks.gate_up.to(stored), requires_grad=False)
    weight = Mock(is_cuda=True, dtype=torch.bfloat16)
    monkeypatch.setattr(type(decoder.norm), "weight", weight, raising=False)
    monkeypatch.delitem(decoder.norm._parameters, "weight")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(prefill, "has_triton", lambda: triton)
    ours = triton and stored != torch.uint8 and capability >= (8, 0)
    assert prefill.can_record(decoder) == (ours or capability >= (9, 0))
    weight.dtype = torch.float32
    assert not prefill.can_record(decoder)


@pytest.mark.gpu
@torch.inference_mode()
def test_a_prompt_of_a_graph_is_that_of_the_layers(load_on_device: Callable[[str], Model], variant: str) -> None:
    model = copy.deepcopy(load_on_device(variant)).bfloat16()
    if not prefill.can_record(model.decoder):
        pytest.skip("needs a GPU with bfloat16")
    config = model.config.language_config
    feed = GraphPrefill(model.decoder, config)
    for count in (120, 100, 37, 128):  # one graph, recorded for the second
        embeds = torch.randn(1, count, config.hidden_size, dtype=torch.bfloat16, device=model.device)
        cache, alone = KVCache(config, 200), KVCache(config, 200)
        found, expected = feed(embeds, cache), model.decoder(embeds, cache=alone)[:, -1:]
        assert (found - expected).norm() < 0.05 * expected.norm()
        for pair, others in zip(cache.buffers, alone.buffers, strict=True):
            for part, other in zip(pair, others, strict=True):
                assert (part[:, :, :count] - other[:, :, :count]).norm() < 0.05 * other[:, :, :count].norm()
    assert list(feed._run._graphs) == [prefill.BUCKET]
