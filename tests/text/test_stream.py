"""Streamed pieces join to the whole text, and no piece ends inside a character."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.text.stream import UNFINISHED, TextStream


@pytest.fixture(scope="module")
def processor(load_processor: Callable[[str], DeepseekVL2Processor]) -> DeepseekVL2Processor:
    return load_processor("tiny")


def decode_bytes(ids: list[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(ids).decode("utf-8", errors="replace")


def stream(decode: Callable[[list[int]], str], ids: list[int]) -> list[str]:
    streamed = TextStream(decode)
    return [*(streamed.push(token) for token in ids), streamed.flush()]


@given(st.lists(st.integers(0, 594), max_size=40))
def test_pieces_join_to_the_text_of_any_ids(processor: DeepseekVL2Processor, ids: list[int]) -> None:
    """Special tokens, and halves of characters in any order."""
    assert "".join(stream(processor.decode, ids)) == processor.decode(ids)


BYTES = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\xf0\x9f", b"\x98\x80", b"\xe2\x82", b"\xc0", b"\x80", b"\xed\xa0\x80", b"\xef\xbf\xbd", b"a"]),
)


@given(st.lists(BYTES, max_size=8).map(b"".join))
def test_pieces_join_to_the_text_of_any_bytes(content: bytes) -> None:
    assert "".join(stream(decode_bytes, list(content))) == decode_bytes(list(content))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=UNFINISHED), max_size=20))
def test_valid_text_never_shows_half_a_character(text: str) -> None:
    pieces = stream(decode_bytes, list(text.encode()))
    assert "".join(pieces) == text
    assert not [piece for piece in pieces if UNFINISHED in piece]
    assert pieces[-1] == ""  # nothing was held back at the end


def test_a_character_comes_with_its_last_byte() -> None:
    assert stream(decode_bytes, list("a😀b".encode())) == ["a", "", "", "", "😀", "b", ""]


def test_an_unfinished_end_comes_with_the_flush() -> None:
    assert stream(decode_bytes, list(b"a\xf0\x9f")) == ["a", "", "", UNFINISHED]
    assert stream(decode_bytes, []) == [""]


@given(st.lists(st.integers(0, 594), max_size=30))
def test_what_is_shown_is_final(processor: DeepseekVL2Processor, ids: list[int]) -> None:
    """After each token, the pieces so far are a beginning of the whole text."""
    whole, shown = processor.decode(ids), ""
    for piece in stream(processor.decode, ids):
        shown += piece
        assert whole.startswith(shown)
