from __future__ import annotations

import pytest

from dsvl2_app.evaluation.choices import circular_accuracy, extract_choice, rotate_options

OPTIONS = {"A": "a cat", "B": "dark red", "C": "red", "D": "12.5 %"}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        (" B.", "B"),
        ("(B)", "B"),
        ("B)", "B"),
        ("B:", "B"),
        ("B. dark red", "B"),
        ("**B**", "B"),
        ("The answer is B.", "B"),
        ("Answer:B", "B"),
        ("A", "A"),
        ("A.", "A"),
        ("A. a cat", "A"),
        ("A dog is there, so D", "D"),  # an article
        ("A cat", "A"),  # the text
        ("Option A, because of its ears.", "A"),
        ("A or B", None),
        ("A is right", "A"),
        ("B and C are both right", None),
        ("BC", None),
        ("E", None),
        ("", None),
        ("Because", None),
        ("red", "C"),
        ("RED.", "C"),
        ("dark red", "B"),
        ("It is dark red.", None),  # two of the texts are in it
        ("It is 12.5 % of all.", "D"),
        ("The redness", None),
        ("I cannot tell.", None),
        ("答案是 (C)。", "C"),
    ],
)
def test_extract_choice(answer: str, letter: str | None) -> None:
    assert extract_choice(answer, OPTIONS) == letter


def test_the_only_text_in_an_answer_counts_and_an_empty_one_never() -> None:
    assert extract_choice("I see a cat there", OPTIONS) == "A"
    assert extract_choice("nothing", {"A": "", "B": "something"}) is None
    assert extract_choice("", {"A": "", "B": "something"}) is None
    assert extract_choice("same", {"A": "same", "B": "Same."}) is None


@pytest.mark.parametrize("truth", "ABCD")
def test_rotations_hold_every_option_at_every_letter_and_keep_the_truth(truth: str) -> None:
    rotations = rotate_options(OPTIONS, truth)
    assert rotations[0] == (OPTIONS, truth) and len(rotations) == 4
    assert sorted(letter for _, letter in rotations) == list("ABCD")
    for options, letter in rotations:
        assert list(options) == list("ABCD") and options[letter] == OPTIONS[truth]
    for letter in OPTIONS:
        assert {options[letter] for options, _ in rotations} == set(OPTIONS.values())


def test_a_truth_that_is_no_option_is_refused() -> None:
    with pytest.raises(ValueError, match="'E' is none of the options A, B, C, D"):
        rotate_options(OPTIONS, "E")


@pytest.mark.parametrize(
    ("scores", "accuracy"),
    [
        ([("1", 1.0)], 1),
        ([("1", 0.0)], 0),
        ([("1", 1.0), ("1", 1.0), ("1", 1.0)], 1),
        ([("1", 1.0), ("1", 0.0), ("1", 1.0)], 0),
        ([("1", 1.0), ("2", 1.0), ("1", 0.0), ("2", 1.0)], 1 / 2),
        ([("1", 1.0), ("2", 0.0), ("3", 0.0)], 1 / 3),
    ],
)
def test_circular_accuracy(scores: list[tuple[str, float]], accuracy: float) -> None:
    assert circular_accuracy(scores) == pytest.approx(accuracy)
    assert circular_accuracy(scores[::-1]) == pytest.approx(accuracy)


def test_always_saying_one_letter_is_never_right_in_a_circle() -> None:
    scores = [("1", float(letter == "A")) for _, letter in rotate_options(OPTIONS, "C")]
    assert sum(score for _, score in scores) == 1 and circular_accuracy(scores) == 0
    with pytest.raises(ValueError, match="no questions"):
        circular_accuracy([])
