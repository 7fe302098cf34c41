"""Texts that repeat themselves are told from texts that look alike."""

from __future__ import annotations

import random

import pytest

from dsvl2_app.text.repetition import STEP, WINDOW, cut_repetition, is_stuck

PROSE = "".join(f"The {word} was weighed on day {place}. " for place, word in enumerate(["iron", "tin", "salt"] * 9))


@pytest.mark.parametrize(
    "piece", ["and ", ",", "<|det|>[[1, 2, 3, 4]] ", "The iron was weighed again and again. ", "狗在左边。"]
)
def test_a_piece_over_and_over_is_seen_and_cut(piece: str) -> None:
    text = PROSE + piece * (2 * WINDOW // len(piece))
    assert is_stuck(text) and not is_stuck(PROSE)
    ends = next(end for end in range(len(PROSE), len(text)) if is_stuck(text[:end]))
    assert ends <= len(PROSE) + WINDOW  # as soon as there is enough to be seen
    for stuck in (text, text[:ends]):
        cut = cut_repetition(stuck)
        assert text.startswith(cut) and abs(len(cut) - len(PROSE)) <= STEP + len(piece)
    assert cut_repetition(PROSE) == PROSE


def test_marks_in_no_order_are_nothing_either() -> None:
    marks = random.Random(0)
    assert is_stuck(PROSE + "".join(marks.choice(["and ", ", ", ",", " .\n"]) for _ in range(WINDOW)))


@pytest.mark.parametrize(
    "text",
    [
        PROSE * 3,
        "".join(f"{number * number % 97}, {number % 13}\n" for number in range(200)),
        "".join(f"Chapter {number} {'.' * 60} {7 * number}\n" for number in range(20)),
        "".join(chr(0x4E00 + number * 37 % 5000) for number in range(600)),
        "and " * 50,
        "",
    ],
)
def test_what_says_something_goes_on(text: str) -> None:
    assert not any(is_stuck(text[:end]) for end in range(0, len(text), 50))
