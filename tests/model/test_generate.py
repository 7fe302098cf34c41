"""transformers' generate and forward by every way that they may be called: the same answer, or a refusal by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from accelerate.utils import set_seed
from torch import Tensor
from transformers import DynamicCache, StaticCache
from transformers.utils import generic

from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.engine.watching import attention_weights
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.model.modeling import CACHE_NAME
from dsvl2_app.model.rotary import rotary_angles

if TYPE_CHECKING:
    from tests.conftest import Reference

Model = DeepseekVL2ForConditionalGeneration
MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"do_sample": True, "temperature": 1.0},
    "beams": {"num_beams": 2},
    "lookup": {"prompt_lookup_num_tokens": 2},
}


@pytest.fixture
def text_ids() -> Tensor:
    return torch.randint(3, 580, (1, 20), generator=torch.Generator().manual_seed(7))


@pytest.fixture
def two_pictures(open_reference: Callable[[str, str], Reference]) -> Reference:
    return open_reference("small", "d_two_images")


def answer(model: Model, inputs: Any, new_tokens: int = 3, **options: Any) -> Tensor:
    """The new tokens, greedily chosen unless said otherwise."""
    set_seed(5)
    ids = model.generate(**inputs, max_new_tokens=new_tokens, **{"do_sample": False, **options})
    return ids[:, inputs["input_ids"].shape[1] :]


# -- the cache -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "rows"),
    [(mode, ("f_multi_turn",)) for mode in MODES]
    + [(mode, ("a_text", "c_tall_ref")) for mode in MODES if mode != "lookup"],  # which is for one row
    ids=lambda given: given if isinstance(given, str) else " and ".join(given),
)
def test_a_cache_changes_no_answer(
    mode: str,
    rows: tuple[str, ...],
    variant: str,
    open_reference: Callable[[str, str], Reference],
    model: Model,
    processor: DeepseekVL2Processor,
) -> None:
    """About a picture, alone and in a batch where another row is padded."""
    inputs = processor.apply_chat_template(
        [open_reference(variant, case).conversations[0] for case in rows],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    options = MODES[mode]
    alone = {} if mode == "lookup" else options  # it needs a cache, and finds what greedy finds
    assert torch.equal(answer(model, inputs, **options), answer(model, inputs, use_cache=False, **alone))


@torch.no_grad()
@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_the_cache_has_two_names(name: str, model: Model, text_ids: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(generic.logger, "warning_once", warned.append)
    whole = model(input_ids=text_ids, use_cache=False)
    assert CACHE_NAME not in whole
    cache = model(input_ids=text_ids[:, :15])[CACHE_NAME]  # the configuration says that there is one
    assert isinstance(cache, DynamicCache) and cache.get_seq_length() == 15
    rest = model(input_ids=text_ids[:, 15:], **{name: cache})
    assert rest[CACHE_NAME] is cache
    torch.testing.assert_close(rest.logits, whole.logits[:, 15:], atol=2e-5, rtol=0)
    assert not warned


@torch.no_grad()
def test_the_configuration_says_whether_there_is_a_cache(load_model: Callable[[str], Model], text_ids: Tensor) -> None:
    model = load_model("tiny")
    assert model.config.use_cache is model.config.language_config.use_cache is True
    model.config.use_cache = False
    try:
        assert CACHE_NAME not in model(input_ids=text_ids)
        assert CACHE_NAME in model(input_ids=text_ids, use_cache=True)
    finally:
        model.config.use_cache = True


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_static_cache_gives_the_same_answer(
    attention: str, variant: str, reference_folder: Path, open_reference: Callable[[str, str], Reference]
) -> None:
    model = Model.from_pretrained(reference_folder / variant / "checkpoint", attn_implementation=attention)
    reference = open_reference(variant, "a_text")
    found = answer(model, reference.inputs, 6, cache_implementation="static", disable_compile=True)
    assert torch.equal(found, reference.arrays["generated_ids"][:, :6])


@torch.no_grad()
def test_a_static_cache_of_ones_own(model: Model, text_ids: Tensor) -> None:
    cache = StaticCache(config=model.config, max_cache_len=32)
    parts = [model(input_ids=part, cache=cache).logits for part in text_ids.split([15, 1, 4], dim=1)]
    whole = model(input_ids=text_ids).logits
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=0)


# -- pictures ------------------------------------------------------------------------------------------------------


def picture_borders(reference: Reference) -> list[int]:
    """Where each run of picture tokens begins and ends."""
    marks = reference.inputs["images_seq_mask"][0].int()
    return [int(place) + 1 for place in marks.diff().nonzero()]


@pytest.mark.slow
def test_a_picture_that_comes_after_the_cache_is_seen(
    two_pictures: Reference, load_model: Callable[..., Model]
) -> None:
    """What came before it is in the cache with its own picture, which is not encoded again."""
    model, inputs = load_model("small"), two_pictures.inputs
    _, first_end, second_start, _ = picture_borders(two_pictures)
    expected = two_pictures.arrays["generated_ids"][:, :3]
    for length in (first_end, second_start):
        with torch.no_grad():
            before = {**inputs, "input_ids": inputs["input_ids"][:, :length]}
            before.pop("attention_mask")
            cache = DynamicCache()
            start = model.prepare_inputs_for_generation(**before, is_first_iteration=True)
            assert len(start["pixel_values"]) < len(inputs["pixel_values"])
            model(**start, cache=cache)
        assert torch.equal(answer(model, inputs, **{CACHE_NAME: cache}), expected)


def test_a_cache_that_ends_inside_a_picture_is_refused(
    two_pictures: Reference, load_model: Callable[..., Model]
) -> None:
    model, (_, _, second_start, _) = load_model("small"), picture_borders(two_pictures)
    cache = DynamicCache()
    with torch.no_grad():
        model(input_ids=two_pictures.inputs["input_ids"][:, : second_start + 5], cache=cache)
    with pytest.raises(PromptError, match="inside a picture"):
        answer(model, two_pictures.inputs, **{CACHE_NAME: cache})


@pytest.mark.slow
def test_marks_that_lie_beside_the_pictures_are_refused(
    two_pictures: Reference, load_model: Callable[..., Model]
) -> None:
    """Ids padded on the left, marks as they were: the pictures would land on other tokens."""
    model, pad = load_model("small"), torch.nn.functional.pad
    for padding in (1000, 3):  # the marks lie on padding alone, or on some of it
        inputs = dict(two_pictures.inputs)
        pad_id = model.config.language_config.pad_token_id
        inputs["input_ids"] = pad(inputs["input_ids"], (padding, 0), value=pad_id)
        inputs["attention_mask"] = pad(inputs["attention_mask"], (padding, 0))
        with pytest.raises(PromptError, match="pad it like input_ids"):
            model(**inputs)
    inputs["images_seq_mask"] = pad(inputs["images_seq_mask"], (padding, 0))
    expected = two_pictures.arrays["generated_ids"][:, :3]
    assert torch.equal(answer(model, inputs), expected)


def test_marks_without_pixels_are_refused(two_pictures: Reference, load_model: Callable[..., Model]) -> None:
    inputs = {name: value for name, value in two_pictures.inputs.items() if name != "pixel_values"}
    with pytest.raises(PromptError, match="pixel_values are missing"):
        load_model("small")(**inputs)


def test_a_picture_in_the_cache_is_not_given_again(two_pictures: Reference, load_model: Callable[..., Model]) -> None:
    model, inputs = load_model("small"), dict(two_pictures.inputs)
    options = {"max_new_tokens": 2, "do_sample": False, "return_dict_in_generate": True}
    first = model.generate(**inputs, **options)
    inputs["input_ids"] = first.sequences
    inputs["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], (0, 2), value=True)
    del inputs["pixel_values"]
    second = model.generate(**inputs, **options, **{CACHE_NAME: first[CACHE_NAME]})
    assert torch.equal(second.sequences[:, -4:], two_pictures.arrays["generated_ids"][:, :4])


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_from_embeds(use_cache: bool, two_pictures: Reference, load_model: Callable[..., Model]) -> None:
    model, inputs = load_model("small"), dict(two_pictures.inputs)
    mask = inputs.pop("attention_mask")
    given = {"inputs_embeds": model.embed(**inputs), "attention_mask": mask}
    ids = model.generate(**given, max_new_tokens=3, do_sample=False, use_cache=use_cache)
    assert torch.equal(ids, two_pictures.arrays["generated_ids"][:, :3])
    given["inputs_embeds"] = model.decoder.embed_tokens(inputs.pop("input_ids"))  # and pictures beside them
    ids = model.generate(**given, **inputs, max_new_tokens=3, do_sample=False, use_cache=use_cache)
    assert torch.equal(ids, two_pictures.arrays["generated_ids"][:, :3])


def test_forward_takes_ids_or_embeds(load_model: Callable[..., Model], text_ids: Tensor) -> None:
    model = load_model("tiny")
    for given in ({}, {"input_ids": text_ids, "inputs_embeds": model.decoder.embed_tokens(text_ids)}):
        with pytest.raises(PromptError, match="either input_ids or inputs_embeds"):
            model(**given)


# -- what forward hands out ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_hidden_states_of_every_layer(model: Model, text_ids: Tensor) -> None:
    output = model(input_ids=text_ids, output_hidden_states=True)
    states = output.hidden_states
    assert len(states) == model.config.language_config.num_hidden_layers + 1
    assert torch.equal(states[0], model.decoder.embed_tokens(text_ids))
    assert torch.equal(model.lm_head(states[-1]), output.logits)
    seen: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *given: seen.append(given[-1])) for layer in model.decoder.layers]
    model(input_ids=text_ids)
    for hook in hooks:
        hook.remove()
    assert all(map(torch.equal, states[1:-1], seen[:-1]))
    assert torch.equal(states[-1], model.decoder.norm(seen[-1]))


@torch.no_grad()
def test_attentions_of_every_layer(model: Model, text_ids: Tensor) -> None:
    expected = model(input_ids=text_ids)
    output = model(input_ids=text_ids, output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(output.logits, expected.logits, atol=2e-5, rtol=0)
    assert len(output.attentions) == len(model.decoder.layers)
    rotary = rotary_angles(torch.arange(20)[None], model.decoder.rotary_width, model.decoder.rotary_theta)
    for layer, state, weights in zip(model.decoder.layers, output.hidden_states, output.attentions, strict=False):
        cached = output[CACHE_NAME].layers[layer.self_attn.layer]
        hidden = layer.input_layernorm(state)
        each = attention_weights(layer.self_attn, hidden, rotary, cached.keys, cached.values)
        assert weights.shape == (1, model.config.language_config.num_attention_heads, 20, 20)
        torch.testing.assert_close(weights[0], each, atol=2e-6, rtol=0)


def test_generate_hands_out_states_and_attentions(model: Model, text_ids: Tensor) -> None:
    flags = {"output_attentions": True, "output_hidden_states": True, "return_dict_in_generate": True}
    found = model.generate(text_ids, max_new_tokens=3, min_new_tokens=3, do_sample=False, **flags)
    assert torch.equal(found.sequences, model.generate(text_ids, max_new_tokens=3, min_new_tokens=3, do_sample=False))
    heads = model.config.language_config.num_attention_heads
    assert [step[0].shape for step in found.attentions] == [(1, heads, *size) for size in ((20, 20), (1, 21), (1, 22))]
    assert [step[-1].shape[1] for step in found.hidden_states] == [20, 1, 1]


@torch.no_grad()
def test_a_tuple_where_it_is_asked_for(model: Model, text_ids: Tensor) -> None:
    output = model(input_ids=text_ids, labels=text_ids)
    found = model(input_ids=text_ids, labels=text_ids, return_dict=False)
    assert isinstance(found, tuple) and len(found) == 3
    assert torch.equal(found[0], output.loss) and torch.equal(found[1], output.logits)


@torch.no_grad()
def test_the_base_model_is_all_but_the_head(model: Model, text_ids: Tensor) -> None:
    body = model.base_model
    assert body is not model and body is not None
    assert {name for name, _ in model.named_parameters()} - {name for name, _ in body.named_parameters()} == {
        "lm_head.weight"
    }
    hidden = body(input_ids=text_ids).last_hidden_state
    assert torch.equal(model.lm_head(hidden), model(input_ids=text_ids).logits)
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("name", ["attention_masks", "cu_seq_lens_q", "token_type_ids", "pixel_value"])
def test_forward_refuses_what_it_does_not_know(name: str, model: Model, text_ids: Tensor) -> None:
    with pytest.raises(SettingsError, match=f"forward does not take {name}=tensor"):
        model(input_ids=text_ids, **{name: torch.ones(1)})
    with torch.no_grad():
        model(input_ids=text_ids, **{name: None})
    if name == "pixel_value":
        with pytest.raises(ValueError, match=name):
            model.generate(input_ids=text_ids, **{name: torch.ones(1)})
