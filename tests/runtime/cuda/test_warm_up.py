"""What a GPU records before anybody asks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import pytest
import torch

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cuda import decode, graphs, prefill
from dsvl2_app.runtime.cuda.decode import GraphDecoder
from dsvl2_app.runtime.cuda.graphs import Recorded
from dsvl2_app.runtime.cuda.prefill import GraphPrefill
from dsvl2_app.runtime.cuda.runner import CudaRunner

Model = DeepseekVL2ForConditionalGeneration
CONTEXT = 700


@torch.inference_mode()
def test_a_step_of_every_length_is_there_before_it_is_needed(
    load_on_device: Callable[[str], Model], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_on_device(variant)
    config = model.config.language_config
    steps = GraphDecoder(model.decoder, model.lm_head, 1, CONTEXT)

    def begin() -> KVCache:
        cache = KVCache(config, CONTEXT)
        model.decoder(torch.zeros(1, 1, config.hidden_size, device=model.device), cache=cache)
        return cache

    for warm_up in steps.list_warm_ups(begin):
        warm_up()
        assert steps.rows == [None] * steps.max_batch  # nobody has to make room for what was tried
    assert [*steps._graphs] == [(1, 256), (1, 512), (1, CONTEXT)]
    monkeypatch.setattr(steps, "_capture", lambda *_: pytest.fail("a step was made when it was needed"))
    for position in (3, 255, 256, CONTEXT - 1):
        cache = begin()
        for buffer in chain.from_iterable(cache.pairs):
            buffer.zero_()
        cache.lengths = [position] * len(cache.lengths)
        assert steps.forward([0], [cache]).isfinite().all()
        steps.release(cache)


def test_what_is_recorded_beforehand_is_not_recorded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(graphs, "record", lambda run, memory: ((lambda: None), run()))
    recorded = Recorded(lambda size: sizes.append(size) or size, torch.device("cpu"))
    recorded._memory = "somewhere"
    recorded.prepare(3)
    recorded.prepare(3)
    assert (recorded(3), recorded(3), sizes) == (3, 3, [3])


@torch.inference_mode()
def test_a_short_prompt_is_recorded_after_a_long_one_was_read(
    load_on_device: Callable[[str], Model], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_on_device(variant)
    config, lengths = model.config.language_config, []
    monkeypatch.setattr(prefill, "BUCKET", 16)
    monkeypatch.setattr(prefill, "MOST", 48)
    feed = GraphPrefill(model.decoder, config)
    monkeypatch.setattr(feed, "_run", Plain(feed._run.run, lengths))  # experts in float32 cannot be recorded
    feed(torch.randn(1, 45, config.hidden_size, device=model.device), KVCache(config, 60))
    for warm_up in feed.list_warm_ups():
        warm_up()
    assert lengths == [48, 16, 32, 48]


class Plain(NamedTuple):
    """`Recorded` without graphs."""

    run: Callable[[int], torch.Tensor]
    lengths: list[int]

    def __call__(self, size: int) -> torch.Tensor:
        self.lengths.append(size)
        return self.run(size)

    prepare = __call__


def test_without_a_gpu_nothing_is_recorded_beforehand(load_model: Callable[[str], Model]) -> None:
    assert not CudaRunner(copy.deepcopy(load_model("tiny")), CONTEXT).warm_up()


@pytest.mark.gpu
@torch.inference_mode()
def test_all_that_a_picture_and_its_question_need_is_recorded(
    load_on_device: Callable[[str], Model], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(load_on_device(variant)).bfloat16()
    runner = CudaRunner(model, CONTEXT)
    width = model.config.language_config.hidden_size
    long = torch.randn(1, CONTEXT - 1, width, dtype=torch.bfloat16, device=model.device)
    runner.prefill(long, KVCache(model.config.language_config, CONTEXT))
    while runner.warm_up():
        pass
    for module in (graphs, decode):
        monkeypatch.setattr(module, "record", lambda *_: pytest.fail("a graph was recorded when it was needed"))
    side, config = model.config.geometry.tile, model.config.language_config
    assert runner.encode(torch.randn(3, 3, side, side, device=model.device)).isfinite().all()
    cache = KVCache(config, CONTEXT)
    embeds = torch.randn(1, prefill.BUCKET + 9, config.hidden_size, dtype=torch.bfloat16, device=model.device)
    assert runner.prefill(embeds, cache).isfinite().all()
    assert runner.decode([5], [cache]).isfinite().all()
