from __future__ import annotations

import pytest

from dsvl2_app.evaluation.mme import MME_PARTS, extract_yes_no, sum_mme


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("No", "no"),
        ("yes.", "yes"),
        (" NO!\n", "no"),
        ("Yes, there is.", "yes"),
        ("No, there is none.", "no"),
        ("Yes, no doubt.", "yes"),  # the first word counts
        ("No. Yes would be wrong.", "no"),
        ("The answer is yes.", "yes"),
        ("I would say no", "no"),
        ("Answer:No", "no"),
        ("**Yes**", "yes"),
        ("y", "yes"),
        ("N", "no"),
        ("It could be yes or no.", ""),
        ("Nothing is there.", ""),  # "no" is not a word of it
        ("Yesterday", ""),
        ("None", ""),
        ("I cannot tell.", ""),
        ("", ""),
        ("是", ""),
        ("not sure", ""),
        ("Eyes", ""),
    ],
)
def test_extract_yes_no(answer: str, said: str) -> None:
    assert extract_yes_no(answer) == said


def pairs(*rights: int, category: str = "count") -> list[tuple[str, str, float]]:
    """Pictures with so many of two questions right."""
    return [
        (category, f"{number}.png", float(place < right)) for number, right in enumerate(rights) for place in range(2)
    ]


@pytest.mark.parametrize(
    ("rights", "score"),
    [
        ((2,), 200),
        ((1,), 50),
        ((0,), 0),
        ((2, 2), 200),
        ((2, 1), 125),  # 75 and 50
        ((2, 0), 100),
        ((1, 1), 50),
        ((1, 0), 25),
        ((0, 0), 0),
        ((2, 2, 2), 200),
        ((2, 2, 1), 150),
        ((2, 1, 1), 100),
        ((1, 1, 1), 50),
        ((2, 2, 0), 400 / 3),
        ((2, 1, 0), 250 / 3),
        ((1, 0, 0), 50 / 3),
        ((2, 2, 2, 1), 87.5 + 75),
        ((2, 2, 1, 1), 75 + 50),
        ((2, 1, 1, 1), 62.5 + 25),
        ((2, 1, 1, 0), 50 + 25),
        ((1, 1, 1, 0), 37.5),
    ],
)
def test_the_score_of_a_category(rights: tuple[int, ...], score: float) -> None:
    found = sum_mme(pairs(*rights))
    assert found == {
        "score": pytest.approx(score), "perception": pytest.approx(score), "cognition": 0,
        "count": pytest.approx(score), "pictures left out": 0,
    }  # fmt: skip
    assert sum_mme(reversed(pairs(*rights))) == found


def test_the_whole_benchmark_is_2000_and_800() -> None:
    found = sum_mme([each for category in MME_PARTS for each in pairs(2, 2, 2, category=category)])
    assert (found["score"], found["perception"], found["cognition"]) == (2800, 2000, 800)
    always_yes = sum_mme([each for category in MME_PARTS for each in pairs(1, 1, category=category)])
    assert always_yes["score"] == 700  # half of the questions, and of no picture both


def test_a_picture_without_both_of_its_questions_has_no_accuracy_plus() -> None:
    found = sum_mme([*pairs(2, 1), ("count", "c.png", 1.0)])
    assert (found["score"], found["pictures left out"]) == (100 * 4 / 5 + 50, 1)
    assert sum_mme([("count", "c.png", 1.0)])["score"] == 100


def test_the_same_picture_of_two_categories_is_two() -> None:
    found = sum_mme([("count", "a.png", 1.0), ("OCR", "a.png", 1.0), ("count", "a.png", 0.0), ("OCR", "a.png", 1.0)])
    assert (found["count"], found["OCR"]) == (50, 200)


@pytest.mark.parametrize(("scores", "sentence"), [([], "no questions"), ([("taste", "a", 1.0)], "no category 'taste'")])
def test_what_is_not_of_mme_is_refused(scores: list[tuple[str, str, float]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        sum_mme(scores)
