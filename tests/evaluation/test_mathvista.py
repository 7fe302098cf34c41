from __future__ import annotations

import pytest

from dsvl2_app.evaluation.mathvista import extract_answer, score_answer

OPTIONS = {"A": "3/11", "B": "8/11", "C": "Yes"}


@pytest.mark.parametrize(
    ("answer", "form", "truth", "precision", "extracted", "score"),
    [
        ("14", "integer", "14", 0, "14", 1),
        ("The number missing in the sequence is 14.", "integer", "14", 0, "14", 1),
        ("3 + 4 = 7", "integer", "7", 0, "7", 1),
        ("The answer is 7, because 3 + 4 = 8 - 1.", "integer", "7", 0, "7", 1),
        ("Answer: 7", "integer", "7", 0, "7", 1),
        ("1,234", "integer", "1234", 0, "1234", 1),
        ("$1,234.50", "float", "1234.5", 1, "1234.50", 1),
        ("seven", "integer", "7", 0, "7", 1),
        ("There are three dogs", "integer", "3", 0, "3", 1),
        ("No idea", "integer", "0", 0, "", 0),
        ("", "integer", "0", 0, "", 0),
        ("-5", "integer", "-5", 0, "-5", 1),
        ("−5", "integer", "-5", 0, "-5", 1),
        ("5", "integer", "-5", 0, "5", 0),
        ("7.9", "integer", "7", 0, "7.9", 1),  # what follows the point goes, as in the official code
        ("8", "integer", "7", 0, "8", 0),
        ("5 km", "integer", "5", 0, "5", 1),
        ("0.6", "float", "0.6", 1, "0.6", 1),
        ("six out of ten, which is 0.6", "float", "0.6", 1, "0.6", 1),
        ("0.64", "float", "0.6", 1, "0.64", 1),  # rounded to one place
        ("0.66", "float", "0.6", 1, "0.66", 0),
        ("1.45", "float", "1.45", 2, "1.45", 1),
        ("$1.45", "float", "1.45", 2, "1.45", 1),
        ("1.4", "float", "1.45", 2, "1.4", 0),
        ("2.6", "float", "2.60", 2, "2.6", 1),
        (".5", "float", "0.5", 1, ".5", 1),
        ("3/4", "float", "0.75", 2, "3/4", 1),
        ("The value is 3 / 4.", "float", "0.75", 2, "3/4", 1),
        ("1/0", "float", "0.75", 2, "1/0", 0),
        ("60%", "float", "0.6", 1, "60", 0),
        ("[2007, 2008]", "list", "[2007, 2008]", 0, "[2007, 2008]", 1),
        ("Between [2007,2008].", "list", "[2007, 2008]", 0, "[2007,2008]", 1),
        ("[2008, 2007]", "list", "[2007, 2008]", 0, "[2008, 2007]", 0),
        ("between 2007 and 2008", "list", "[2007, 2008]", 0, "", 0),
        ("[a, b]", "list", "[2007, 2008]", 0, "[a, b]", 0),
        ("Green.", "text", "green", 0, "Green", 1),
        ("The answer is green.", "text", "green", 0, "green", 1),
        ("It is green", "text", "green", 0, "It is green", 0),
    ],
)
def test_free_form_answers(answer: str, form: str, truth: str, precision: int, extracted: str, score: float) -> None:
    assert extract_answer(answer, {}, form) == extracted
    assert score_answer(extracted, truth, form, precision) == score


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("The correct answer is (B) 8/11.", "B"),
        ("8/11", "B"),
        ("Of 11 parts 8 are blue. Answer: B", "B"),
        ("A would be 3/11, so the answer is B.", "B"),  # what follows "answer is" counts
        ("It is A or B", ""),
        ("yes", "C"),
        ("The answer is yes", "C"),
        ("D", ""),
        ("", ""),
    ],
)
def test_choices(answer: str, letter: str) -> None:
    assert extract_answer(answer, OPTIONS, "text") == letter
