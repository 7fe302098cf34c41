"""How sure a model was of a box's numbers, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsvl2_app.text.corners import Number, find_numbers, spread

DIGITS = tuple((token, str(token)) for token in range(10))  # id 10: the end of the number


def test_numbers_of_whole_boxes_are_found_whatever_their_tokens_are() -> None:
    pieces = ["7", "<|det|>", "[[", "12", ", ", "3", "4", ", ", " 5", ", ", "999", "], [", "1", ",", "2", "]]", "8"]
    assert find_numbers([*pieces, "<|/det|>", "9"]) == [
        Number(3, ("12",)),
        Number(5, ("3", "4")),
        Number(8, ("5",)),
        Number(10, ("999",)),
    ]
    assert find_numbers(["<|det|>", "[", "1", ",", "2", ",", "3", ",", "4"]) == []  # a box that does not end
    assert find_numbers(["[[", "1", ",", "2", ",", "3", ",", "4", "]]"]) == []
    assert find_numbers(["<|det|>", "[[", "1", ",", "2", ",", "3", ",", "1000", "]]"]) == []


def test_a_number_of_one_token_has_the_chances_of_the_tokens() -> None:
    chances = np.zeros(1002)
    chances[1:1001] = np.random.default_rng(1).dirichlet(np.ones(1000))
    found = spread(Number(0, ("17",)), [chances], [(value + 1, str(value)) for value in range(1000)])
    assert found == pytest.approx(chances[1:1001], abs=1e-7)


def test_digits_open_are_spread_evenly_and_digits_written_are_exact() -> None:
    random = np.random.default_rng(2)
    first, second, third = (random.dirichlet(np.ones(11)) for _ in range(3))
    found = spread(Number(4, ("4", "2", "7")), [first, second, third], DIGITS)
    for value in range(1000):
        hundreds, tens, ones = value // 100, value // 10 % 10, value % 10
        if hundreds == 0:
            expected = first[0] if value == 0 else 0.0  # a number that begins with 0 is 0
        elif hundreds != 4:
            expected = first[hundreds] / 100
        elif tens != 2:
            expected = first[4] * second[tens] / 10
        else:
            expected = first[4] * second[2] * third[ones]
        assert found[value] == pytest.approx(expected, abs=1e-7), value
    assert found.sum() == pytest.approx(
        1 - first[10] - first[4] * second[10] - first[4] * second[2] * third[10], abs=1e-6
    )
