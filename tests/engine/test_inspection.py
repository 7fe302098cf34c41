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

from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import inspect, serve_inspection
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import PromptError
from dsvl2_app.model.experts import Router
from dsvl2_app.model.rotary import rotary_angles, rotate_halves, rotate_pairs
from dsvl2_app.request import Inspection, Request, Sampling
from dsvl2_app.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Reference

ANSWER = [5, 17, 240, 17, 31, 99, 6]


@dataclass(frozen=True)
class Case:
    """A request with two images, what was seen in it, and what plain arithmetic says (`run_plainly`)."""

    engine: Engine
    request: Request
    seen: Inspection
    image: Tensor
    attention: list[Tensor]
    choices: dict[int, Tensor]


@pytest.fixture(scope="module")
def load_case(reference_folder: Path, open_reference: Callable[[str, str], Reference]) -> Callable[[str], Case]:
    known: dict[str, Case] = {}

    def load(variant: str) -> Case:
        if variant not in known:
            engine = load_engine(
                Settings(model=str(reference_folder / variant / "checkpoint"), device="cpu", compile="off")
            )
            request = Request(open_reference(variant, "d_two_images").conversations[0])
            known[variant] = Case(engine, request, inspect(engine, request, ANSWER), *run_plainly(engine, request))
        return known[variant]

    return load


@pytest.fixture
def case(variant: str, load_case: Callable[[str], Case]) -> Case:
    return load_case(variant)


def run_plainly(engine: Engine, request: Request) -> tuple[Tensor, list[Tensor], dict[int, Tensor]]:
    """Where images are, each layer's attention [S, S] and each router's choices [S, K]: one pass without a cache."""
    model, prompt = engine.model, engine.prepare(request)[0]
    inputs: dict[int, Tensor] = {}
    choices: dict[int, Tensor] = {}
    hooks = []
    for number, layer in enumerate(model.decoder.layers):
        hooks.append(
            layer.self_attn.register_forward_pre_hook(lambda _, given, at=number: inputs.update({at: given[0]}))
        )
        for module in layer.mlp.modules():
            if isinstance(module, Router):
                hooks.append(module.register_forward_hook(lambda _, __, out, at=number: choices.update({at: out[1]})))
    mask = prompt.image_mask[None]
    ids = torch.tensor([prompt.input_ids + ANSWER[:-1]])
    grids = torch.tensor([[layout.grid for layout in prompt.layouts]])
    with torch.no_grad():
        pixels = engine.processor.normalise(engine.processor.cut(prompt))
        model(input_ids=ids, pixel_values=pixels, images_seq_mask=mask, images_spatial_crop=grids)
        attention = [attend_plainly(model, layer, inputs[number]) for number, layer in enumerate(model.decoder.layers)]
    for hook in hooks:
        hook.remove()
    image = torch.zeros(ids.shape[1], dtype=torch.bool)
    image[: len(prompt.input_ids)] = prompt.image_mask
    return image, attention, choices


def attend_plainly(model: Any, layer: Any, hidden: Tensor) -> Tensor:
    """Softmax of each head's queries times its expanded keys, head after head, averaged."""
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
    return torch.stack(each).mean(0)


@pytest.mark.slow
def test_attention_is_that_of_plain_arithmetic(case):
    seen, image, attention = case.seen, case.image, case.attention
    first = seen.prompt_tokens - 1
    assert seen.attention.shape == (len(attention), len(ANSWER), int(image.sum()))
    for layer, weights in enumerate(attention):
        rows = weights[first:]
        assert seen.attention[layer] == pytest.approx(rows[:, image].numpy(), abs=1e-3, rel=2e-3)
        text = ~image[: first + 1]
        text[0] = False
        elsewhere = torch.stack((rows[:, 0], rows[:, : first + 1][:, text].sum(1), rows[:, first + 1 :].sum(1)), dim=1)
        assert seen.elsewhere[layer] == pytest.approx(elsewhere.numpy(), abs=1e-5)


@pytest.mark.slow
def test_all_that_a_token_attends_to_is_one(case):
    seen = case.seen
    total = seen.attention.sum(-1, dtype=np.float32) + seen.elsewhere.sum(-1)
    assert total == pytest.approx(np.ones_like(total), abs=1e-3)
    assert seen.elsewhere[:, 0, 2] == pytest.approx(0)  # the first token was chosen before there was an answer


@pytest.mark.slow
def test_attention_of_one_image(case):
    seen = case.seen
    first, second = (layout.num_tokens for layout in seen.layouts)
    assert seen.attention.shape[-1] == first + second
    assert seen.image_attention(1, 0) == pytest.approx(seen.attention[0, :, first:].astype(np.float32))
    assert seen.image_attention(0) == pytest.approx(seen.attention[..., :first].astype(np.float32).mean(0), rel=1e-5)


def test_shares_of_experts_are_those_of_the_routers(case):
    seen, image, choices = case.seen, case.image, case.choices
    assert seen.expert_layers == tuple(sorted(choices))
    experts = case.engine.model.config.language_config.n_routed_experts
    for layer, shares in zip(seen.expert_layers, seen.experts, strict=True):
        for share, tokens in zip(shares, (image, ~image), strict=True):
            counts = choices[layer][tokens].flatten().bincount(minlength=experts)
            assert share == pytest.approx((counts / counts.sum()).numpy(), abs=1e-6)
    assert seen.experts.sum(-1) == pytest.approx(np.ones(seen.experts.shape[:2]), abs=1e-5)


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
    assert found.attention == pytest.approx(case.seen.attention, abs=1e-3)
    assert (found.experts == case.seen.experts).all()
    total = case.seen.prompt_tokens + len(ANSWER) - 1
    assert stages[-2] == ("prefill", total, total)
    assert len(stages) - 1 > total // case.engine.runner.prefill_chunk


def test_without_pictures_there_is_text_alone(load_case):
    engine = load_case("base").engine
    seen = inspect(engine, Request([{"role": "user", "content": "Well?"}]), ANSWER)
    assert seen.attention.shape[1:] == (len(ANSWER), 0)
    assert seen.elsewhere.sum(-1) == pytest.approx(np.ones(seen.elsewhere.shape[:2]), abs=1e-5)
    assert (seen.twins, seen.layouts) == ((), ())
    assert not seen.experts[:, 0].any()


def test_the_cost_is_stated_and_the_hooks_are_gone(case):
    engine, seen = case.engine, case.seen
    kept = seen.attention.nbytes + seen.elsewhere.nbytes + seen.experts.nbytes
    assert seen.memory > kept
    assert seen.seconds > 0
    assert len(seen.tokens) == len(ANSWER)
    assert not any(module._forward_hooks for module in engine.model.modules())


def test_an_answer_of_nothing_is_refused(load_case):
    case = load_case("tiny")
    with pytest.raises(PromptError, match="nothing to look into"):
        inspect(case.engine, case.request, [])
