"""Rows of one pool give the logits of caches of their own, whoever comes and goes; on a GPU as graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cuda import decode
from dsvl2_app.runtime.cuda.decode import GraphDecoder

Model = DeepseekVL2ForConditionalGeneration


@pytest.fixture
def model(load_on_device: Callable[[str], Model], variant: str) -> Model:
    return load_on_device(variant)


def prefill(model: Model, ids: list[int], room: int = 40) -> KVCache:
    cache = KVCache(model.config.language_config, room)
    model.decoder(model.decoder.embed_tokens(torch.tensor([ids], device=model.device)), cache=cache)
    return cache


def plainly(model: Model, tokens: list[int], caches: list[KVCache]) -> torch.Tensor:
    embeds = model.decoder.embed_tokens(torch.tensor(tokens, device=model.device)[:, None])
    return model.lm_head(model.decoder.decode(embeds, caches)[:, 0])


@pytest.mark.slow
@torch.inference_mode()
def test_rows_give_the_logits_of_each_alone(model: Model) -> None:
    graphs = GraphDecoder(model.decoder, model.lm_head, 1, 64)
    prompts = [[5, 6, 7], [9] * 11, [8, 4], [30, 31, 32, 33]]
    seated, alone = ([prefill(model, prompt) for prompt in prompts] for _ in range(2))
    # who is in each step: they join late, pause, change places and leave
    for who in ([0], [0, 1], [1], [1, 0], [0, 1, 2], [2, 0], [0, 2, 3], [3, 2], [3], [0, 3]):
        tokens = [40 + number for number in who]
        # on the device, or known already
        given = [torch.tensor(token, device=model.device) if token % 2 else token for token in tokens]
        found = graphs.forward(given, [seated[number] for number in who])
        expected = plainly(model, tokens, [alone[number] for number in who])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        if who == [2, 0]:
            graphs.release(seated[1])
    assert [cache.get_seq_length() for cache in seated] == [cache.get_seq_length() for cache in alone]


@torch.inference_mode()
def test_int4_weights_go_through_the_layers(reference_folder: Path, variant: str) -> None:
    """No kernel in Triton reads them."""
    model = Model.from_pretrained(reference_folder / variant / "checkpoint", quantize="int4")
    graphs = GraphDecoder(model.decoder, model.lm_head, 1, 64, fuses=True)
    seated, alone = (prefill(model, [5, 6, 7]) for _ in range(2))
    found, expected = graphs.forward([40], [seated]), plainly(model, [40], [alone])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not graphs.fuses and not graphs._fused


@torch.inference_mode()
def test_who_leaves_keeps_what_it_has(model: Model) -> None:
    graphs = GraphDecoder(model.decoder, model.lm_head, 1, 64)
    first, second, alone = (prefill(model, [5, 6, 7]) for _ in range(3))
    graphs.forward([40], [first])
    graphs.release(first)
    graphs.forward([50], [second])  # in the row that became free
    plainly(model, [40], [alone])
    for kept, expected in zip(first.fork(20).buffers, alone.fork(20).buffers, strict=True):
        for part, other in zip(kept, expected, strict=True):
            torch.testing.assert_close(part[:, :, :4], other[:, :, :4], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("variant", ["tiny", "small"])  # heads and latents; what kernels compute is in test_step
def test_fused_steps_give_the_same(model: Model) -> None:
    pytest.importorskip("triton")
    graphs, plain = (GraphDecoder(model.decoder, model.lm_head, 1, 64) for _ in range(2))
    graphs.fuses, plain.fuses = True, False
    prompts = [[5, 6, 7], [9] * 11]
    ours, theirs = ([prefill(model, prompt) for prompt in prompts] for _ in range(2))
    for who in ([0], [1, 0], [1]):
        tokens = [40 + number for number in who]
        found = graphs.forward(tokens, [ours[number] for number in who])
        expected = plain.forward(tokens, [theirs[number] for number in who])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    assert graphs.fuses and graphs._fused


@torch.inference_mode()
def test_a_kernel_that_cannot_be_made_leaves_the_layers_own(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of shared memory")

    monkeypatch.setattr(decode.FusedStep, "__init__", lambda *_: None)
    monkeypatch.setattr(decode.FusedStep, "__call__", fail)
    graphs, cache, alone = GraphDecoder(model.decoder, model.lm_head, 1, 64), prefill(model, [5]), prefill(model, [5])
    graphs.fuses = True
    expected = plainly(model, [40], [alone])
    torch.testing.assert_close(graphs.forward([40], [cache]), expected, atol=1e-5, rtol=1e-5)
    assert not graphs.fuses


@pytest.fixture(params=[False, True], ids=["layers", "fused"])
def graphs(model: Model, request: pytest.FixtureRequest) -> GraphDecoder:
    graphs = GraphDecoder(model.decoder, model.lm_head, 1, 64)
    graphs.fuses = request.param
    return graphs


def check_recorded(graphs: GraphDecoder, fuses: bool) -> None:
    """Every step was a graph, of the kernels that were meant."""
    replays = [replay for replay, _ in graphs._graphs.values()]
    assert replays and all(isinstance(replay.__self__, torch.cuda.CUDAGraph) for replay in replays)  # type: ignore[attr-defined]
    assert graphs.fuses == bool(graphs._fused) == fuses


@pytest.mark.gpu
@torch.inference_mode()
def test_a_row_that_pauses_keeps_what_it_has(model: Model, graphs: GraphDecoder) -> None:
    """While others go on in the same graph, which writes in every row."""
    fuses = graphs.fuses
    (paused, going), (alone, other) = ([prefill(model, ids) for ids in ([5, 6, 7], [9] * 11)] for _ in range(2))
    graphs.forward([40, 41], [paused, going])
    plainly(model, [40, 41], [alone, other])
    known = paused.get_seq_length()
    before = [part[:, :, :known].clone() for pair in paused.buffers for part in pair]
    for token in range(50, 55):
        found, expected = graphs.forward([token], [going]), plainly(model, [token], [other])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    after = [part[:, :, :known] for pair in paused.buffers for part in pair]
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    found, expected = graphs.forward([42], [paused]), plainly(model, [42], [alone])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    check_recorded(graphs, fuses)


@pytest.mark.gpu
@torch.inference_mode()
def test_the_cpu_may_be_many_steps_ahead(model: Model, graphs: GraphDecoder) -> None:
    """What a step reads is not overwritten while the GPU, which is busy, has not come to it."""
    fuses, tokens = graphs.fuses, list(range(40, 50))
    cache, alone = (prefill(model, [5, 6, 7]) for _ in range(2))
    graphs.forward([30], [cache])  # records
    plainly(model, [30], [alone])
    expected = torch.cat([plainly(model, [token], [alone]) for token in tokens])
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)  # clock cycles, a tenth of a second
    found = [graphs.forward([token], [cache]).clone() for token in tokens]
    torch.testing.assert_close(torch.cat(found), expected, atol=2e-5, rtol=2e-5)
    check_recorded(graphs, fuses)


def test_tokens_that_lie_together_are_copied_together() -> None:
    step, other = torch.arange(10, 14), torch.arange(4)
    found = [
        (row, together.tolist())
        for row, together in decode.find_runs([7, *step[:2], step[3], 5, *step[:2], other[2], other[1]])
    ]
    assert found == [(1, [10, 11]), (3, [13]), (5, [10, 11]), (7, [2]), (8, [1])]


@torch.inference_mode()
def test_rows_that_nobody_has_begin_at_nothing(model: Model) -> None:
    """What a long conversation leaves there would send a graph for short ones beyond its memory."""
    graphs = GraphDecoder(model.decoder, model.lm_head, 1, 64)
    caches = [prefill(model, [5] * length) for length in (3, 4, 5, 30)]
    for _ in range(2):  # each of the two buffers
        graphs.forward([7] * 4, caches)
    graphs.release(caches[3])
    for _ in range(2):
        graphs.forward([8] * 3, caches[:3])
        assert not graphs._inputs[:, 3:].any() and (graphs._inputs[1, :3] > 0).all()
