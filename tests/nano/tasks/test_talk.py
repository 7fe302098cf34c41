from __future__ import annotations

from random import Random

import pytest

from nano.tasks import talk

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", talk.ABOUT)
def test_every_kind_has_a_dozen_wordings(kind: str):
    rng = Random(0)
    assert len({talk.ask_about(rng, kind).question.lower().rstrip("?.!") for _ in range(600)}) >= 12


def test_exercises_are_right():
    rng = Random(0)
    for _ in range(200):
        turn = talk.ask_numbers(rng)
        numbers = [int(word) for word in turn.question.replace("?", " ").replace(",", " ").split() if word.isdigit()]
        if "larger" in turn.answer:
            assert turn.answer == f"{max(numbers)} is larger than {min(numbers)}."
        spelling = talk.ask_spelling(rng)
        if "spelled" in spelling.answer:
            word = spelling.question.split('"')[1]
            assert spelling.answer == f"It is spelled {'-'.join(word)}."


def test_positions_are_right():
    rng = Random(0)
    for _ in range(100):
        turn = talk.ask_position(rng)
        x1, y1, x2, y2 = (int(number) for number in turn.question.split("[[")[1].split("]]")[0].split(", "))
        assert ("left" in turn.answer) == ((x1 + x2) / 2 < 350)
        assert ("bottom" in turn.answer) == ((y1 + y2) / 2 > 650)
