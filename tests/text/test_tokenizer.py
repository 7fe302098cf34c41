"""What a token's bytes are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.tokenizer import spell


@given(text=st.text(max_size=40))
def test_spellings_of_tokens_join_to_the_text(load_processor, text: str) -> None:
    """Though a token can be a part of a character."""
    tokenizer = load_processor("tiny").tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert b"".join(spell(tokenizer, token) for token in ids) == text.encode()


def test_special_tokens_are_spelt_as_they_are_written(load_processor) -> None:
    tokenizer = load_processor("tiny").tokenizer
    assert spell(tokenizer, tokenizer.convert_tokens_to_ids("<|det|>")) == b"<|det|>"
    assert spell(tokenizer, tokenizer.eos_token_id) == "<｜end▁of▁sentence｜>".encode()


def test_an_id_without_a_token_has_no_spelling(load_processor) -> None:
    assert spell(load_processor("tiny").tokenizer, 129_000) == b""
