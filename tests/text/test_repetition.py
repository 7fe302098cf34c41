"""Texts that repeat themselves are told from pages that repeat something."""

from __future__ import annotations

from random import Random

import pytest

from dsvl2_app.text.repetition import FULLEST, LONGEST, OFTEN, TALLEST, WIDEST, Repetition, keep_once

PROSE = "".join(f"The {word} was weighed on day {place}. " for place, word in enumerate(["iron", "tin", "salt"] * 9))
FOX = "The quick brown fox jumps over the lazy dog. "


def find(text: str, size: int = 1) -> int | None:
    """After how many characters that come `size` at once a repetition is found; None: not at all."""
    repetition = Repetition()
    for start in range(0, len(text), size):
        repetition.push(text[start : start + size])
        if repetition.found:
            return start + size
    return None


@pytest.mark.parametrize(
    ("piece", "needed"),
    [
        ("1", WIDEST),
        ("and ", WIDEST),
        ("狗在左边。", WIDEST),
        ("[1, 2, 3, 4], ", OFTEN * 14),
        (FOX, OFTEN * len(FOX)),
        ("It is said once more that " + FOX * 2, FULLEST),
        ("9.\n", TALLEST * 3),
        ("| 0 | 0 |\n", TALLEST * 10),
        ("9.\n\n", TALLEST * 4),  # blank lines are none
        ("1.\n\nA\n", TALLEST * 6 // 2),
        ("<|ref|>a<|/ref|>\nis\n", TALLEST * 20 // 2),
        ("\n", WIDEST),
        (f"{'-' * 150}\n", FULLEST),
    ],
)
@pytest.mark.parametrize("before", ["", PROSE, "9\n"])
def test_a_piece_over_and_over_is_found_and_kept_once(piece: str, needed: int, before: str) -> None:
    text = before + piece * (FULLEST // len(piece) + 2)
    found = find(text)
    assert found is not None
    assert abs(found - len(before) - needed) <= len(piece)
    kept = keep_once(text[:found])
    assert kept == (before + piece).rstrip() or (before + piece).startswith(kept)
    assert keep_once(text) == kept or piece.startswith(keep_once(text)[len(kept) :])


def test_pieces_of_any_size_may_come() -> None:
    size = 7
    text = PROSE + "| 0 | 0 |\n" * (2 * TALLEST)
    exact, found = find(text), find(text, size)
    assert exact is not None and found is not None
    assert exact <= found < exact + size


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE * 6,
        "| a | b |\n|---|---|\n" + "| 0 | 0 |\n" * 80 + "| 1 | 0 |\n" + "| 0 | 0 |\n" * 80,
        "| " + "0 | " * 100 + "\n" + "|" + "---|" * 100 + "\n",
        ("-" * 200 + "\n") * 12,
        "".join(f"Chapter {number} {'.' * 160} {7 * number}\n" for number in range(60)),
        "".join(f"{number}. yes\n" for number in range(400)),
        "".join(f"{number * number % 97}, {number % 13}\n" for number in range(400)),
        "".join(f"{letter}\n" for letter in Random(0).choices("ABCD", k=400)),
        "".join(f"{bit} " for bit in Random(0).choices("01", k=800)),
        "".join(f"{number:09b}\n" for number in range(400)),
        "0, " * 160,
        "0" * 500,
        "A. Person\n1 Long Street\n12345 Town\n\n" * 30,
        "Name: ____________\n\nDate: ____________\n\n" * 40,
        FOX * 60,
        " ".join(f"{number}" for number in range(2000)),
        "".join(chr(0x4E00 + number * 37 % 5000) for number in range(3000)),
    ],
)
def test_what_a_page_can_hold_goes_on(text: str) -> None:
    assert find(text) is None
    assert keep_once(text) == text


def test_a_piece_that_is_too_long_is_not_looked_for() -> None:
    piece = "".join(chr(0x4E00 + number) for number in range(LONGEST + 1))
    assert find(piece * 20) is None
    assert find(piece[:-1] * 20) == FULLEST


def test_what_comes_after_a_repetition_is_kept() -> None:
    repetition = Repetition()
    repetition.push("9.\n" * TALLEST)
    assert repetition.found
    repetition.push("And more")
    assert repetition.found
    assert keep_once("9.\n" * TALLEST + "And more") == "9.\n" * TALLEST + "And more"
