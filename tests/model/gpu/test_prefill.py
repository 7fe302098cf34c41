"""A prompt that is fed with others behind it leaves what it leaves alone; here without the graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.gpu import prefill
from dsvl2_app.model.gpu.prefill import GraphPrefill
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration

Model = DeepseekVL2ForConditionalGeneration


@torch.inference_mode()
@pytest.mark.parametrize("tokens", [[37, 5, 16], [16, 33]])  # one after the other, in the same memory
def test_lengths_are_rounded_up_unseen(
    load_model: Callable[[str], Model], variant: str, tokens: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefill, "STEP", 16)
    model = load_model(variant)
    config = model.config.language_config
    feed = GraphPrefill(model.decoder, config)
    for count in tokens:
        embeds = torch.randn(1, count, config.hidden_size)
        cache, alone = KVCache(config, 60), KVCache(config, 60)
        found, expected = feed(embeds, cache), model.decoder(embeds, cache=alone)[:, -1:]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert cache.get_seq_length() == count
        for pair, others in zip(cache.buffers, alone.buffers, strict=True):
            for part, other in zip(pair, others, strict=True):
                torch.testing.assert_close(part[:, :, :count], other[:, :, :count], atol=1e-5, rtol=1e-5)


def test_only_fresh_conversations_that_are_not_too_long_fit(load_model: Callable[[str], Model], variant: str) -> None:
    model = load_model(variant)
    config = model.config.language_config
    feed, fresh = GraphPrefill(model.decoder, config), KVCache(config, 60)
    width = config.hidden_size
    assert feed.fits(torch.zeros(1, prefill.MOST, width), fresh)
    assert not feed.fits(torch.zeros(1, prefill.MOST + 1, width), fresh)
    model.decoder(torch.zeros(1, 3, width), cache=fresh)
    assert not feed.fits(torch.zeros(1, 3, width), fresh)
