"""The fused decode step gives the logits, and leaves the caches, of the layers' own: on a GPU, else in Triton's
interpreter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

pytest.importorskip("triton")

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cuda import experts
from dsvl2_app.runtime.cuda.step import FusedStep
from tests.conftest import DEVICE

Model = DeepseekVL2ForConditionalGeneration
PROMPTS = (list(range(20, 90)), [5, 6, 7])  # two splits of the cache, and one
CAPACITY = 100
# Number formats of weights, and rows; the interpreter takes ten seconds for one.
CASES = [("none", 2), ("int8", 1)] + ([("none", 1), ("int8", 2)] if DEVICE.type == "cuda" else [])


def prefill(model: Model, ids: list[int]) -> KVCache:
    cache = KVCache(model.config.language_config, CAPACITY)
    model.decoder(model.decoder.embed_tokens(torch.tensor([ids], device=model.device)), cache=cache)
    return cache


@pytest.fixture
def model(load_on_device: Callable[[str], Model], variant: str, request: pytest.FixtureRequest) -> Model:
    model = load_on_device(variant)
    if request.param == "none":
        return model
    return Model.from_pretrained(model.name_or_path, quantize=request.param, device_map=model.device)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(("model", "rows"), CASES, indirect=["model"])
def test_a_step_is_that_of_the_layers(model: Model, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experts, "INNER", 64)  # so that the dense layer is cut
    caches = [prefill(model, ids) for ids in PROMPTS[:rows]]
    layers = [[cache.buffers[layer] for cache in caches] for layer in range(len(model.decoder.layers))]
    pool = [tuple(torch.cat(parts).clone() for parts in zip(*each, strict=True)) for each in layers]
    run = FusedStep(model.decoder, model.lm_head, pool, CAPACITY)
    for number in range(2):
        tokens = torch.arange(40, 40 + rows, device=model.device) + number
        positions = torch.tensor([cache.get_seq_length() for cache in caches], device=model.device)
        found = run(tokens, positions)
        embeds = model.decoder.embed_tokens(tokens[:, None])
        expected = model.lm_head(model.decoder.decode(embeds, caches)[:, 0])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    again = run(tokens, positions)  # with nothing left over, as when a graph is replayed
    assert torch.equal(again, found)
    assert not run.attend.arrivals.any()
    for each, own in zip(pool, layers, strict=True):
        for part, whole in enumerate(each):
            for row, cache in enumerate(caches):
                known = cache.get_seq_length()
                torch.testing.assert_close(whole[row, :, :known], own[row][part][0, :, :known], atol=2e-5, rtol=2e-5)
