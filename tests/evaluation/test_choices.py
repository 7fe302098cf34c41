from __future__ import annotations

import pytest

from dsvl2_app.evaluation.choices import (
    circular_accuracy,
    contains_text,
    extract_choice,
    rotate_options,
    split_options,
)

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
        ([("1", 0.0), ("1", 0.0), ("1", 0.0), ("1", 0.0)], 0),
        ([("1", 1.0)] * 4 + [("2", 1.0)] * 3 + [("2", 0.0)], 1 / 2),
        ([("1", 1.0)] * 4 + [("2", 1.0)] * 4, 1),
        ([("1", 0.0)] * 3 + [("1", 1.0)] + [("2", 1.0)] * 2, 1 / 2),
        ([(str(number), float(number < 3)) for number in range(4)], 3 / 4),
        ([(str(number % 5), float(number != 7)) for number in range(20)], 4 / 5),  # one wrong of 20 costs a question
        ([(str(number % 5), float(number < 15)) for number in range(20)], 0),
        ([(str(number % 5), float(number % 5 < 2)) for number in range(20)], 2 / 5),
        ([("1", 1.0), ("01", 0.0)], 1 / 2),  # names of questions are texts
        ([("a", 1.0), ("A", 0.0)], 1 / 2),
        ([("", 1.0)], 1),
        ([("1", 1.0)] * 6, 1),  # six options
        ([("1", 1.0)] * 5 + [("1", 0.0)], 0),
        ([("1", 1.0), ("2", 1.0), ("3", 1.0), ("3", 0.0)], 2 / 3),
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


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        # MMStar's, in one line
        ("Where is it?\nOptions: A: On the book., B: Under it., C: Beside it, D: Nowhere", "Where is it?",
         ["On the book.", "Under it.", "Beside it", "Nowhere"]),
        ("How many?\nOptions: A: 1, B: 2", "How many?", ["1", "2"]),
        ("Which, A or B?\nOptions: A: one, two, B: three", "Which, A or B?", ["one, two", "three"]),
        ("What angle?\nOptions: A: 35°, B: 45°, C: 55°, D: 65°", "What angle?", ["35°", "45°", "55°", "65°"]),
        # MathVista's
        ("Is it?\nChoices:\n(A) Yes\n(B) No", "Is it?", ["Yes", "No"]),
        # RealWorldQA's, on lines of their own
        ("Where to?\n\nA. Left\nB. Right\nC. On\nPlease answer directly with only the letter of the correct option and "
         "nothing else.", "Where to?", ["Left", "Right", "On"]),
        ("Where to?\n(A) Left\n(B) Right", "Where to?", ["Left", "Right"]),
        # none
        ("What is it?", "What is it?", None),
        ("A. Only one?", "A. Only one?", None),
        ("Is vitamin A. good? B. bad", "Is vitamin A. good? B. bad", None),
        ("Options: none", "Options: none", None),
    ],
)  # fmt: skip
def test_options_are_split_from_a_question(text: str, question: str, options: list[str] | None) -> None:
    assert split_options(text) == (question, dict(zip("ABCD", options or [], strict=False)))


def test_a_text_is_contained_as_whole_words() -> None:
    assert contains_text("It is a Red  Fox.", "red fox") and not contains_text("It is a reddish fox", "red")
    assert contains_text("12.5", "12.5") and not contains_text("12", "") and not contains_text("", "12")
