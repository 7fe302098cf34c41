from __future__ import annotations

import pytest

from dsvl2_app.evaluation.vqa import normalize, vqa_accuracy


def people(**counts: int) -> list[str]:
    """Ten answers."""
    answers = [answer for answer, count in counts.items() for _ in range(count)]
    return answers + ["nobody said this"] * (10 - len(answers))


@pytest.mark.parametrize(
    ("answer", "truths", "score"),
    [
        ("red", people(red=10), 1),
        ("red", people(red=4), 1),
        ("red", people(red=3), 0.9),  # of ten subsets, three have only two of them: (7 + 3 * 2 / 3) / 10
        ("red", people(red=2), 0.6),
        ("red", people(red=1), 0.3),
        ("red", people(red=0), 0),
        ("blue", people(red=5, blue=5), 1),
        ("blue", people(red=8, blue=2), 0.6),
        ("Red", people(red=10), 1),
        ("RED.", people(red=10), 1),
        ("the red", people(red=10), 1),
        ("a red", people(red=10), 1),
        ("dark red", people(red=10), 0),
        ("", people(red=10), 0),
        ("two", ["2"] * 10, 1),
        ("2", ["two"] * 10, 1),
        ("none", ["0"] * 10, 1),
        ("twenty", ["20"] * 10, 0),
        ("1,000", ["1000"] * 10, 1),
        ("12%", ["12"] * 10, 0),
        ("5 km", ["5"] * 10, 0),
        ("$5", ["5"] * 10, 0),
        ("dont walk", ["don't walk"] * 10, 1),
        ("yes\n", ["yes"] * 10, 1),
        ("yes", ["yes"] * 4, 1),
    ],
)
def test_soft_accuracy(answer: str, truths: list[str], score: float) -> None:
    assert vqa_accuracy(answer, truths) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Two Dogs.", "2 dogs"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("a", ""),
        ("zero", "0"),
        ("Ten", "10"),
        ("3.5", "3.5"),
        ("3. 5", "3 5"),
        ("e.g.", "eg"),
        (".5", ".5"),
        ("1,234,567", "1234567"),
        ("red, green", "red green"),
        ("red,green", "red green"),
        ("stop!", "stop"),
        ("what?", "what"),
        ("up-to-date", "up to date"),
        ("up - to-date", "up todate"),
        ("and/or", "and or"),
        ("(left)", "left"),
        ("a_b@c", "b c"),
        ("10:30", "10:30"),
        ("50%", "50%"),
        ("cant", "can't"),
        ("can't", "can't"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("Im", "im"),  # the evaluation code looks it up with a capital, after lowering
        ("shes", "shes"),
        ("somebody'd", "somebodyd"),
        ("ow's'at", "'ow's'at"),
        ("line\none\ttwo", "line 1 2"),
        ("  ", ""),
    ],
)
def test_normalize(text: str, normal: str) -> None:
    assert normalize(text) == normal


@pytest.mark.parametrize("truths", [[], ["red"], ["red"] * 3, "reddish"])
def test_too_few_people_are_refused(truths) -> None:
    with pytest.raises(ValueError, match="at least 4 people"):
        vqa_accuracy("red", truths)
