"""What an inspection says, against plain arithmetic on the reference models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import inspect, serve_inspection
from dsvl2_app.engine.lens import _find_largest, choose_layers
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import PromptError
from dsvl2_app.inspection import Inspection
from dsvl2_app.model.experts import Router
from dsvl2_app.model.rotary import rotary_angles, rotate_halves, rotate_pairs
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.grounding import ALLOWED

if TYPE_CHECKING:
    from tests.conftest import Reference

ANSWER = [5, 17, 240, 17, 31, 99, 6]
NANO_ASKED = [
    {
        "role": "user",
        "content": [
            {"type": "image", "image": Image.open(EXAMPLES / "which-1.png").convert("RGB")},
            {"type": "image", "image": Image.open(EXAMPLES / "which-2.png").convert("RGB")},
            {"type": "text", "text": "Which has a star?"},
        ],
    }
]


def close(found: Any, expected: Any, *, abs: float = 0.0, rel: float = 0.0) -> bool:
    """What pytest.approx says of arrays, which it compares number by number in Python."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return bool((np.abs(found - expected) <= np.maximum(abs, rel * np.abs(expected))).all())


@dataclass(frozen=True)
class Plain:
    """What one pass without a cache and plain arithmetic say."""

    image: Tensor  # bool [S]
    attention: list[Tensor]  # of each layer [H, S, S]
    choices: dict[int, tuple[Tensor, Tensor]]  # of each router: weights and experts [S, K]
    states: tuple[Tensor, ...]  # after the embeds and each layer [S, D], the last one normalised
    logits: Tensor  # [S, V]


@dataclass(frozen=True)
class Case:
    """A request with two images, what was seen in it, and what plain arithmetic says."""

    engine: Engine
    request: Request
    seen: Inspection
    plain: Plain


@pytest.fixture(scope="module")
def load_case(reference_folder: Path, open_reference: Callable[[str, str], Reference]) -> Callable[[str], Case]:
    known: dict[str, Case] = {}

    def load(variant: str) -> Case:
        if variant not in known:
            is_nano = variant == "nano"
            model = variant if is_nano else str(reference_folder / variant / "checkpoint")
            engine = load_engine(Settings(model=model, device="cpu", compile="off", dtype="float32"))
            request = Request(NANO_ASKED if is_nano else open_reference(variant, "d_two_images").conversations[0])
            known[variant] = Case(engine, request, inspect(engine, request, ANSWER), run_plainly(engine, request))
        return known[variant]

    return load


@pytest.fixture(scope="module")
def open_nano() -> tuple[Engine, Request, list[Event], Inspection]:
    """What nano answers when it is asked for boxes, and what was seen."""
    engine = load_engine(Settings(model="nano", device="cpu", compile="off", dtype="float32"))
    image = {"type": "image", "image": Image.open(EXAMPLES / "several.png").convert("RGB")}
    words = {"type": "text", "text": "<|ref|>The yellow shapes.<|/ref|>"}
    asked = [{"role": "user", "content": [image, words]}]
    request = Request(asked, Sampling(max_new_tokens=64), allow=ALLOWED, alternatives=5)
    events = list(engine.answer(request))
    ids = [event.token for event in events if event.token is not None]
    return engine, request, events, inspect(engine, request, ids)


@pytest.fixture(params=["nano", "tiny", "small", "base"])
def variant(request: pytest.FixtureRequest) -> str:
    """nano as it is shipped, and the reference checkpoints."""
    return request.param


@pytest.fixture
def case(variant: str, load_case: Callable[[str], Case]) -> Case:
    return load_case(variant)


def run_plainly(engine: Engine, request: Request) -> Plain:
    model, prompt = engine.model, engine.prepare(request)[0]
    inputs: dict[int, Tensor] = {}
    choices: dict[int, tuple[Tensor, Tensor]] = {}
    hooks = []
    for number, layer in enumerate(model.decoder.layers):
        hooks.append(
            layer.self_attn.register_forward_pre_hook(lambda _, given, at=number: inputs.update({at: given[0]}))
        )
        for module in layer.mlp.modules():
            if isinstance(module, Router):
                hooks.append(module.register_forward_hook(lambda _, __, out, at=number: choices.update({at: out})))
    mask = prompt.image_mask[None]
    ids = torch.tensor([prompt.input_ids + ANSWER[:-1]])
    grids = torch.tensor([[layout.grid for layout in prompt.layouts]])
    with torch.no_grad():
        pixels = engine.processor.normalise(engine.processor.cut(prompt))
        output = model(
            input_ids=ids,
            pixel_values=pixels,
            images_seq_mask=mask,
            images_spatial_crop=grids,
            output_hidden_states=True,
        )
        attention = [attend_plainly(model, layer, inputs[number]) for number, layer in enumerate(model.decoder.layers)]
    for hook in hooks:
        hook.remove()
    image = torch.zeros(ids.shape[1], dtype=torch.bool)
    image[: len(prompt.input_ids)] = prompt.image_mask
    return Plain(image, attention, choices, tuple(state[0] for state in output.hidden_states), output.logits[0])


def attend_plainly(model: Any, layer: Any, hidden: Tensor) -> Tensor:
    """Softmax of each head's queries times its expanded keys, head after head [H, S, S]."""
    config, attention = model.config.language_config, layer.self_attn
    length, heads = hidden.shape[1], config.num_attention_heads
    decoder = model.decoder
    rotary = rotary_angles(torch.arange(length)[None], decoder.rotary_width, decoder.rotary_theta)
    queries = attention.q_proj(hidden).unflatten(-1, (heads, -1)).transpose(1, 2)
    if config.use_mla:
        nope = config.qk_nope_head_dim
        latent, rope = attention.kv_a_proj_with_mqa(hidden).split((config.kv_lora_rank, config.qk_rope_head_dim), -1)
        keys = attention.kv_b_proj(attention.kv_a_layernorm(latent)).unflatten(-1, (heads, -1)).transpose(1, 2)
        rope = rotate_pairs(rope[:, None], rotary).expand(-1, heads, -1, -1)
        keys = torch.cat((keys[..., :nope], rope), dim=-1)
        queries = torch.cat((queries[..., :nope], rotate_pairs(queries[..., nope:], rotary)), dim=-1)
    else:
        keys = attention.k_proj(hidden).unflatten(-1, (heads, -1)).transpose(1, 2)
        queries, keys = rotate_halves(queries, rotary), rotate_halves(keys, rotary)
    causal = torch.full((length, length), float("-inf")).triu(1)
    each = [(queries[0, h] @ keys[0, h].T / config.head_dim**0.5 + causal).softmax(-1) for h in range(heads)]
    return torch.stack(each)


@pytest.mark.slow
def test_attention_of_every_head_is_that_of_plain_arithmetic(case):
    seen, image, attention = case.seen, case.plain.image, case.plain.attention
    first = seen.prompt_tokens - 1
    assert seen.attention.shape == (len(attention), len(attention[0]), len(ANSWER), seen.prompt_tokens)
    assert (seen.image_mask == image[: first + 1].numpy()).all()
    for layer, heads in enumerate(attention):
        rows = heads[:, first:]
        assert close(seen.attention[layer], rows[..., : first + 1].numpy(), abs=1e-3, rel=2e-3)
        assert close(seen.answer_attention[layer], rows[..., first + 1 :].sum(-1).numpy(), abs=1e-3)
        text = ~image[: first + 1]
        text[0] = False
        mean = rows.mean(0)
        elsewhere = torch.stack((mean[:, 0], mean[:, : first + 1][:, text].sum(1), mean[:, first + 1 :].sum(1)), dim=1)
        for token in range(len(ANSWER)):
            assert close(seen.elsewhere(token, layer), elsewhere[token].numpy(), abs=1e-3)
            assert close(seen.average(token, layer, 1), rows[1, token, : first + 1].numpy(), abs=1e-3)
        assert close(seen.watchers(first, layer), mean[:, first].numpy(), abs=1e-3)


@pytest.mark.slow
def test_all_that_a_token_attends_to_is_one(case):
    seen = case.seen
    total = seen.attention.sum(-1, dtype=np.float32) + seen.answer_attention
    assert close(total, np.ones_like(total), abs=1e-3)
    assert seen.answer_attention[..., 0] == pytest.approx(0)  # the first token was chosen before there was an answer


@pytest.mark.slow
def test_attention_of_one_image(case):
    seen = case.seen
    first, second = (layout.num_tokens for layout in seen.layouts)
    assert (seen.image_attention(0).shape[-1], seen.image_attention(1, 0).shape[-1]) == (first, second)
    to_images = seen.attention[0][..., seen.image_mask].mean(0, dtype=np.float32)
    assert close(seen.image_attention(1, 0), to_images[:, first:], rel=1e-5)
    everywhere = seen.attention[..., seen.image_mask][..., :first].astype(np.float32).mean((0, 1))
    assert close(seen.image_attention(0), everywhere, rel=1e-4)


def test_experts_are_those_of_the_routers_for_every_token(case):
    seen, image, choices = case.seen, case.plain.image, case.plain.choices
    assert seen.expert_layers == tuple(sorted(choices))
    assert seen.expert_count == case.engine.model.config.language_config.n_routed_experts
    assert seen.experts.dtype == np.uint8
    for layer, taken, weights, shares in zip(
        seen.expert_layers, seen.experts, seen.expert_weights, seen.expert_shares(), strict=True
    ):
        plain_weights, order = choices[layer][0].sort(dim=-1, descending=True)
        assert (taken == choices[layer][1].gather(-1, order).numpy()).all()
        assert close(weights, plain_weights.numpy(), rel=2e-3, abs=1e-5)
        for share, tokens in zip(shares, (image, ~image), strict=True):
            counts = choices[layer][1][tokens].flatten().bincount(minlength=seen.expert_count)
            assert close(share, (counts / counts.sum()).numpy(), abs=1e-6)


def test_words_of_the_lens_are_those_of_the_head_on_each_state(case):
    seen, plain, model = case.seen, case.plain, case.engine.model
    layers = len(model.decoder.layers)
    assert seen.lens_layers == tuple(range(layers))
    for layer, found in zip(seen.lens_layers, seen.lens, strict=True):
        state = plain.states[layer + 1][plain.image]
        if layer < layers - 1:
            state = model.decoder.norm(state)
        logits = model.lm_head(state)
        assert (found == logits.topk(found.shape[1], dim=-1).indices.numpy()).all()
    tokenizer = case.engine.processor.tokenizer
    for token in seen.lens[:, 0].ravel().tolist():
        assert seen.words[token] == tokenizer.decode([token]) or "\ufffd" in seen.words[token]


def test_probabilities_are_those_of_plain_logits(case):
    seen = case.seen
    logprobs = case.plain.logits[seen.prompt_tokens - 1 :].log_softmax(-1)
    assert seen.alternatives[:, 0].tolist() == ANSWER
    values, ids = logprobs.topk(5, dim=-1)
    assert (seen.alternatives[:, 1:] == ids.numpy()).all()
    assert close(seen.logprobs[:, 1:], values.numpy(), abs=1e-4)
    assert close(seen.logprobs[:, 0], logprobs[range(len(ANSWER)), ANSWER].numpy(), abs=1e-4)


def test_twins_are_tiles_of_the_same_pixels(load_case):
    engine = load_case("tiny").engine
    parts = [{"type": "image", "image": Image.new("RGB", (40, 40), colour)} for colour in ("red", "red", "blue")]
    request = Request([{"role": "user", "content": [*parts, {"type": "text", "text": "Well?"}]}])
    seen = inspect(engine, request, ANSWER)
    assert seen.twins == (0, 0, 0, 0, 1, 1)


@pytest.mark.slow
def test_others_are_served_in_between_and_are_not_watched(load_case):
    case = load_case("small")
    stages = []
    for event in serve_inspection(case.engine, case.request, ANSWER).run(case.engine.decode):
        stages.append((event.stage, event.done, event.total))
        other = Request([{"role": "user", "content": "Well?"}], Sampling(max_new_tokens=2))
        assert list(case.engine.answer(other))[-1].finish
    found = event.inspection
    assert close(found.attention, case.seen.attention, abs=1e-3)
    assert (found.experts == case.seen.experts).all()
    assert (found.lens == case.seen.lens).all()
    total = case.seen.prompt_tokens + len(ANSWER) - 1
    assert stages[-2] == ("prefill", total, total)
    assert len(stages) - 1 > total // case.engine.runner.prefill_chunk + len(found.lens_layers)


def test_without_pictures_there_is_text_alone(load_case):
    engine = load_case("base").engine
    seen = inspect(engine, Request([{"role": "user", "content": "Well?"}]), ANSWER)
    assert seen.attention.shape[2:] == (len(ANSWER), seen.prompt_tokens) and not seen.image_mask.any()
    assert close(seen.elsewhere(1).sum(), 1, abs=1e-3)
    assert (seen.twins, seen.layouts, seen.starts) == ((), (), ())
    assert not seen.expert_shares()[:, 0].any() and seen.lens.shape[1] == 0


def test_the_cost_is_stated_and_the_hooks_are_gone(case):
    engine, seen = case.engine, case.seen
    assert seen.memory > seen.nbytes > seen.attention.nbytes + seen.experts.nbytes + seen.lens.nbytes
    told = engine.card.inspection.count(seen.prompt_tokens, len(ANSWER), int(seen.image_mask.sum()))
    assert told == pytest.approx(seen.memory, rel=0.01)  # as it is said before
    assert seen.seconds > 0
    assert len(seen.tokens) == len(ANSWER)
    assert not any(module._forward_hooks for module in engine.model.modules())


def test_an_answer_of_nothing_is_refused(load_case):
    case = load_case("tiny")
    with pytest.raises(PromptError, match="nothing to look into"):
        inspect(case.engine, case.request, [])


@pytest.mark.slow
def test_nano_is_asked_for_boxes_and_says_how_sure_it_is(open_nano):
    """The probabilities are those that the sampler told while the answer was written, and those of corners too."""
    _, _, events, seen = open_nano
    told = [event.likelihoods for event in events if event.token is not None]
    assert seen.alternatives.tolist() == [[each.token for each in likelihoods] for likelihoods in told]
    wanted = [[each.logprob for each in likelihoods] for likelihoods in told]
    assert close(seen.logprobs, np.array(wanted), abs=2e-3)
    assert len(seen.corners) == len(seen.corner_tokens) >= 4 and len(seen.corners) % 4 == 0
    for chances, token in zip(seen.corners, seen.corner_tokens, strict=True):
        value = int(seen.tokens[token])
        assert chances[value] == pytest.approx(np.exp(seen.logprobs[token, 0]), rel=2e-3)
        assert chances.argmax() == value and 0.5 < chances.sum() <= 1 + 1e-5
    assert seen.model == "nano" and "".join(seen.prompt).startswith("<｜begin▁of▁sentence｜><|User|>: ")
    assert "".join(seen.tokens) == "".join(event.text for event in events)


def test_the_largest_are_found_in_groups_as_by_topk():
    logits = torch.randn(7, 5000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(_find_largest(logits, 5), logits.topk(5).indices)
    few = logits[:, :300]
    assert torch.equal(_find_largest(few, 5), few.topk(5).indices)


def test_a_cpu_has_as_many_lenses_as_its_work_allows(load_case, monkeypatch):
    model = load_case("tiny").engine.model
    layers, weight = len(model.decoder.layers), model.lm_head.weight
    assert choose_layers(model, 2000) == tuple(range(layers))
    monkeypatch.setattr("dsvl2_app.engine.lens.CPU_WORK", 2 * 2 * 2000 * weight.numel())
    assert choose_layers(model, 2000) == (round(layers / 2) - 1, layers - 1)
    monkeypatch.setattr("dsvl2_app.engine.lens.CPU_WORK", 0)
    assert choose_layers(model, 2000) == (layers - 1,)
