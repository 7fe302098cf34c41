"""The regular expression for servers elsewhere and our own grammar allow the same answers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.text.grammar import CLOSING, OPENING
from dsvl2_app.text.pattern import escape, write_pattern
from tests.text.test_grammar import encode, load_grammar

MOST = 3
PATTERN = re.compile(write_pattern(MOST))
NUMBERS = st.one_of(st.integers(0, 999).map(str), st.sampled_from(["", "007", "00", "1000", "-1", "4.0"]))
BOXES = st.lists(NUMBERS, min_size=3, max_size=5).map(lambda numbers: f"[{', '.join(numbers)}]")
FOUR = st.lists(st.integers(0, 999).map(str), min_size=4, max_size=4).map(lambda numbers: f"[{', '.join(numbers)}]")
LISTS = st.lists(st.one_of(FOUR, FOUR, FOUR, BOXES), max_size=MOST + 1).map(lambda boxes: f"[{', '.join(boxes)}]")
MARKED = LISTS.map(lambda boxes: OPENING + boxes + CLOSING)
PIECES = [OPENING, CLOSING, "<|ref|>", "<", "<<", "<|", "<|d", "<|de", "<|det", "<|det|", "|det|>", "det|>", ">", "\n"]
WORDS = st.one_of(st.sampled_from(PIECES), st.text(max_size=5), LISTS)
ANSWERS = st.lists(st.one_of(MARKED, MARKED, WORDS), max_size=5).map("".join)


def is_allowed(name: str, answer: str) -> bool:
    """By our own grammar, token by token, up to the answer's end."""
    state = load_grammar(name, MOST).start()
    for token in encode(name, answer):
        allowed = state.allowed()
        if allowed is not None and token not in allowed:
            return False
        state.advance(token)
    return state.phase is None


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("", True),
        ("No dog.", True),
        (f"<{OPENING}[[1, 2, 3, 4]]{CLOSING}<", True),
        (f"{OPENING}[[1, 2, 3, 4]]{CLOSING}" * 4, True),
        ("<|det<|det|", True),
        (f"{CLOSING}<|ref|>", True),
        (f"{OPENING}[{', '.join(['[0, 0, 0, 0]'] * 3)}]{CLOSING}", True),
        (f"{OPENING}[{', '.join(['[0, 0, 0, 0]'] * 4)}]{CLOSING}", False),
        (f"{OPENING}[[1, 2, 3, 1000]]{CLOSING}", False),
        (f"{OPENING}[[1, 2, 3, 04]]{CLOSING}", False),
        (f"{OPENING}[]{CLOSING}", False),
        (f"{OPENING}[[1,2,3,4]]{CLOSING}", False),
        (f"{OPENING}[[1, 2, 3, 4]]", False),
        (f"{OPENING * 2}[[1, 2, 3, 4]]{CLOSING}", False),
        (OPENING, False),
    ],
)
def test_both_know_what_fits(answer: str, fits: bool) -> None:
    assert (PATTERN.fullmatch(answer) is not None) == is_allowed("nano", answer) == fits


@pytest.mark.slow
@given(answer=ANSWERS)
def test_both_allow_the_same_answers(answer: str) -> None:
    assert (PATTERN.fullmatch(answer) is not None) == is_allowed("nano", answer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "small"])
@given(answer=ANSWERS)
def test_so_they_do_for_other_tokenizers(name: str, answer: str) -> None:
    assert (PATTERN.fullmatch(answer) is not None) == is_allowed(name, answer)


@pytest.mark.slow
@given(answer=st.from_regex(PATTERN, fullmatch=True))
def test_what_the_pattern_writes_is_allowed(answer: str) -> None:
    assert is_allowed("nano", answer)


@pytest.mark.parametrize("boxes", [1, 100, 101])
def test_a_list_has_at_most_a_hundred_boxes(boxes: int) -> None:
    answer = f"Here: {OPENING}[{', '.join(['[0, 10, 200, 999]'] * boxes)}]{CLOSING}."
    assert (re.fullmatch(write_pattern(), answer) is not None) == (boxes <= 100)


@given(text=st.text())
def test_escaped_text_means_itself(text: str) -> None:
    assert re.fullmatch(escape(text), text)
