"""Answers drawn at random under the grammar: their boxes are well formed whatever the model prefers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.bundled import NANO
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.grammar import BoxGrammar

ROOT = Path(__file__).parents[2]
CHECKPOINTS = {
    "nano": NANO,
    "tiny": ROOT / "tests" / "reference" / "tiny" / "checkpoint",
    "small": ROOT / "tests" / "reference" / "small" / "checkpoint",
}
SOME_BOXES = "[[1, 20, 300, 999], [0, 0, 5, 5]]"


@cache
def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    return DeepseekVL2Processor.from_pretrained(CHECKPOINTS[name]).tokenizer


@cache
def load_grammar(name: str, most_boxes: int = 100) -> BoxGrammar:
    return BoxGrammar(load_tokenizer(name), most_boxes)


@pytest.fixture(params=CHECKPOINTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def encode(name: str, text: str) -> list[int]:
    return load_tokenizer(name).encode(text, add_special_tokens=False)


def draw_list(name: str, data: st.DataObject, *, most_boxes: int, room: int = 10_000) -> list[int]:
    """Tokens after <|det|> drawn until the list is closed or the room is used up."""
    state = load_grammar(name, most_boxes).start()
    state.advance(load_grammar(name).opening)
    ids: list[int] = []
    while len(ids) < room and (allowed := state.allowed(room - len(ids))) is not None:
        ids.append(int(data.draw(st.sampled_from(allowed.tolist()))))
        state.advance(ids[-1])
    return ids


@pytest.mark.parametrize("name", CHECKPOINTS)
@settings(max_examples=25)
@given(data=st.data())
def test_whatever_is_drawn_is_a_list_of_boxes(name, data):
    ids = draw_list(name, data, most_boxes=3)
    text = load_tokenizer(name).decode(ids)
    parsed = parse_boxes(f"<|ref|>dog<|/ref|><|det|>{text}")
    assert parsed.problems == ()
    assert 1 <= len(parsed.boxes) <= 3
    assert all("clipped" not in box.notes for box in parsed.boxes)
    assert text.count("[") == len(parsed.boxes) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKPOINTS)
@settings(max_examples=25)
@given(data=st.data(), more=st.integers(0, 20))
def test_the_list_is_closed_before_the_answer_reaches_its_limit(name, data, more):
    least = int(load_grammar(name).tables[(0, 0)].room.min())
    text = load_tokenizer(name).decode(draw_list(name, data, most_boxes=100, room=least + more))
    assert parse_boxes(f"<|det|>{text}").problems == ()


def test_what_the_tokenizer_makes_of_well_formed_text_is_allowed(name):
    state = load_grammar(name).start()
    for token in encode(name, f"<|ref|>dog<|/ref|><|det|>{SOME_BOXES}<|/det|> and <|det|>{SOME_BOXES}<|/det|>."):
        allowed = state.allowed()
        assert allowed is None or token in allowed
        state.advance(token)
    assert state.allowed() is None


def test_nothing_is_constrained_outside_a_list(name):
    state = load_grammar(name).start()
    for token in encode(name, "<|ref|>a [[9999, dog<|/ref|> <|/det|> ]]"):
        assert state.allowed() is None
        state.advance(token)
    assert state.allowed() is None


@pytest.mark.parametrize(
    ("written", "signs"),
    [
        ("", "["),
        ("[", "["),
        ("[[", "0123456789"),
        ("[[0", ","),
        ("[[9", "0123456789,"),
        ("[[99", "0123456789,"),
        ("[[999", ","),
        ("[[1,", " "),
        ("[[1, 2, 3, 4", "0123456789]"),
        ("[[1, 2, 3, 4]", "],"),
        ("[[1, 2, 3, 4]]", "<"),
        ("[[1, 2, 3, 4], ", "["),
    ],
)
def test_only_these_signs_may_follow(written, signs):
    """Sign by sign, as the bytes of any tokenizer can spell it."""
    tokenizer, state = load_tokenizer("tiny"), load_grammar("tiny").start()
    state.advance(load_grammar("tiny").opening)
    for sign in written:
        state.advance(tokenizer.convert_tokens_to_ids("Ġ" if sign == " " else sign))
    allowed = state.allowed()
    assert allowed is not None
    assert {tokenizer.decode([token])[0] for token in allowed} == set(signs)


@pytest.mark.slow
def test_a_list_ends_at_the_most_boxes(name):
    state = load_grammar(name, 2).start()
    for token in encode(name, "<|det|>[[1, 2, 3, 4], [1, 2, 3, 4]"[:-1]):
        state.advance(token)
    allowed = state.allowed()
    assert allowed is not None
    texts = {load_tokenizer(name).decode([token]) for token in allowed}
    assert texts & {"]", "]]"}
    assert not any("," in text for text in texts)
