"""Worked cases of every metric, and two of them against definitions that are written another way."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from random import Random

import pytest

from dsvl2_app.evaluation.metrics import (
    OCRBENCH_PARTS,
    anls,
    edit_distance,
    found_at_half,
    ocrbench,
    relaxed_accuracy,
    sum_ocrbench,
)

FORMULAS = "Handwritten Mathematical Expression Recognition"


@pytest.mark.parametrize(
    ("answer", "truths", "score"),
    [
        ("coca cola", ["coca cola"], 1),
        ("Coca Cola", ["coca cola"], 1),
        ("  coca \n cola ", ["coca cola"], 1),
        ("coca-cola", ["coca cola"], 8 / 9),
        ("cocacola", ["coca cola"], 8 / 9),
        ("coca cola company", ["coca cola"], 9 / 17),
        ("the coca cola company", ["coca cola"], 0),  # 9 / 21 is below one half
        ("kitten", ["sitting"], 4 / 7),
        ("ab", ["ac"], 1 / 2),  # exactly the threshold
        ("abc", ["axy"], 0),
        ("", ["word"], 0),
        ("word", [""], 0),
        ("", [""], 1),
        ("12", ["12.0"], 1 / 2),
        ("12%", ["12"], 2 / 3),
        ("$1,234", ["1234"], 4 / 6),
        ("5 km", ["5"], 0),
        ("no", ["yes", "no"], 1),
        ("nope", ["yes", "no"], 1 / 2),
        ("1994", ["1995", "1984"], 3 / 4),
        ("Straße", ["strasse"], 5 / 7),
        ("北京市", ["北京"], 2 / 3),
        ("a" * 300, ["a"], 0),
        ("University of California, San Diego", ["university of california"], 24 / 35),
    ],
)
def test_anls(answer: str, truths: list[str], score: float) -> None:
    assert anls(answer, truths) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "truths", "score"),
    [
        ("10", ["10"], 1),
        ("10.5", ["10"], 1),
        ("9.5", ["10"], 1),
        ("10.51", ["10"], 0),
        ("9.49", ["10"], 0),
        ("-10.5", ["-10"], 1),
        ("10", ["-10"], 0),
        ("12%", ["12%"], 1),
        ("0.12", ["12%"], 1),
        ("12", ["12%"], 0),  # a hundred times as much
        ("12.5%", ["12%"], 1),
        ("12 %", ["12%"], 1),
        ("1,234", ["1234"], 0),  # with a comma it is text
        ("1,234", ["1,234"], 1),
        ("5 km", ["5"], 0),
        ("5 km", ["5 KM"], 1),
        ("0", ["0"], 1),
        ("0.0", ["0"], 0),  # nothing is 5 % of zero
        ("0.01", ["0"], 0),
        ("1e3", ["1000"], 1),
        ("Yes", ["yes"], 1),
        ("The USA", ["USA"], 0),
        ("", ["10"], 0),
        ("nan", ["10"], 0),
        ("inf", ["10"], 0),
        ("%", ["10"], 0),
        (" 10 ", ["10"], 1),
        ("ten", ["10"], 0),
        ("3", ["1", "3"], 1),
        ("[3, 4]", ["[3, 4]"], 1),
    ],
)
def test_relaxed_accuracy(answer: str, truths: list[str], score: float) -> None:
    assert relaxed_accuracy(answer, truths) == score


@pytest.mark.parametrize(
    ("answer", "truths", "part", "score"),
    [
        ("CENTRE", ["CENTRE"], "Regular Text Recognition", 1),
        ("centre", ["CENTRE"], "Regular Text Recognition", 1),
        ('The word is "centre".', ["CENTRE"], "Irregular Text Recognition", 1),
        ("center", ["CENTRE"], "Regular Text Recognition", 0),
        ("", ["CENTRE"], "Artistic Text Recognition", 0),
        ("CENTRE", [""], "Artistic Text Recognition", 0),
        ("c e n t r e", ["centre"], "Artistic Text Recognition", 0),
        ("two\nlines", ["two lines"], "Handwriting Recognition", 1),
        ("two lines", ["two\nlines"], "Handwriting Recognition", 1),
        (" 1234567 ", ["1234567"], "Digit String Recognition", 1),
        ("1,234,567", ["1234567"], "Digit String Recognition", 0),
        ("12345678", ["1234567"], "Digit String Recognition", 1),  # it stands in it
        ("xqzt", ["xqzt"], "Non-Semantic Text Recognition", 1),
        ("xqt", ["xqzt"], "Non-Semantic Text Recognition", 0),
        ("It is a Nikon", ["canon", "nikon"], "Scene Text-centric VQA", 1),
        ("canon", ["nikon"], "Scene Text-centric VQA", 0),
        ("12%", ["12"], "Doc-oriented VQA", 1),
        ("12", ["12%"], "Doc-oriented VQA", 0),
        ("RM 9.00", ["9.00"], "Key Information Extraction", 1),
        ("9.0", ["9.00"], "Key Information Extraction", 0),
        ("x ^ {2}", ["x^{2}"], FORMULAS, 1),
        ("x^{2}", ["x ^ { 2 }"], FORMULAS, 1),
        ("X^{2}", ["x^{2}"], FORMULAS, 0),  # of formulas, case counts
        ("y = x^{2} + 1", ["x^{2}"], FORMULAS, 1),
    ],
)
def test_ocrbench(answer: str, truths: list[str], part: str, score: float) -> None:
    assert ocrbench(answer, truths, part) == score


def test_points_of_ocrbench() -> None:
    assert len(OCRBENCH_PARTS) == 10
    sizes = [50] * 6 + [200, 200, 200, 100]
    perfect = [(part, 1.0) for part, size in zip(OCRBENCH_PARTS, sizes, strict=True) for _ in range(size)]
    tasks = {"Scene Text-centric VQA": 200, "Doc-oriented VQA": 200, "Key Information Extraction": 200, FORMULAS: 100}
    assert sum_ocrbench(perfect) == {"Text Recognition": 300, **tasks, "Final Score": 1000}
    assert sum_ocrbench([(FORMULAS, 1.0), ("Handwriting Recognition", 0.0)])["Final Score"] == 1
    assert sum_ocrbench([])["Final Score"] == 0
    for use in (lambda: ocrbench("a", ["a"], "Reading"), lambda: sum_ocrbench([("Reading", 1.0)])):
        with pytest.raises(ValueError, match="no part 'Reading'"):
            use()


def det(*boxes: list[int], label: str = "a") -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{list(boxes)}<|/det|>"


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (det([0, 0, 500, 500]), 1),
        (det([0, 0, 500, 250]), 1),  # exactly one half
        (det([0, 0, 500, 249]), 0),
        (det([0, 0, 999, 500]), 1),
        (det([0, 0, 999, 999]), 0),
        (det([125, 0, 625, 500]), 1),  # 3 / 5
        (det([167, 0, 667, 500]), 0),  # a little under 1 / 2
        (det([500, 500, 999, 999]), 0),
        (det([500, 500, 0, 0]), 0),  # reversed
        (det([500, 0, 0, 500]), 0),
        (det([0, 500, 500, 0]), 0),
        (det([0, 0, 0, 500]), 0),
        (det([0, 0, 500]), 0),
        (det([0, 0, 500, 500, 7]), 0),
        (det([-3, 0, 500, 500]), 1),  # clipped
        (det([0, 0, 500, 500], [600, 600, 700, 700]), 1),  # the first counts
        (det([600, 600, 700, 700], [0, 0, 500, 500]), 0),
        (det([0, 0, 500, 500], label=""), 1),
        ("<|det|>[[0, 0, 500, 500]]<|/det|>", 1),
        ("<|det|>[[0, 0, 500, 500]]", 1),
        ("[0, 0, 500, 500]", 0),  # in no tag
        ("<|det|>[[0.0, 0.0, 0.5, 0.5]]<|/det|>", 0),
        ("It is on the left.", 0),
        ("", 0),
    ],
)
@pytest.mark.parametrize("size", [(999, 999), (1998, 2997)])
def test_found_at_half(answer: str, score: float, size: tuple[int, int]) -> None:
    truth = (0, 0, 500 * size[0] / 999, 500 * size[1] / 999)
    assert found_at_half(answer, truth, size) == score


@pytest.mark.parametrize("truth", [(5, 0, 5, 9), (9, 0, 5, 9), (0, 9, 5, 2), (float("nan"), 0, 5, 9)])
def test_a_true_box_without_an_area_is_refused(truth: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        found_at_half(det([0, 0, 5, 5]), truth, (9, 9))


@pytest.mark.parametrize("metric", [anls, relaxed_accuracy, lambda *given: ocrbench(*given, FORMULAS)])
def test_truths_are_a_list_that_is_not_empty(metric) -> None:
    with pytest.raises(ValueError, match="without a truth"):
        metric("a", [])
    with pytest.raises(TypeError, match="a list of texts"):
        metric("a", "a")


def recursive_distance(one: str, other: str) -> int:
    """By the definition, from the ends inwards."""

    @cache
    def between(left: int, right: int) -> int:
        if not left or not right:
            return left + right
        if one[left - 1] == other[right - 1]:
            return between(left - 1, right - 1)
        return 1 + min(between(left - 1, right), between(left, right - 1), between(left - 1, right - 1))

    return between(len(one), len(other))


def exact_anls(answer: str, truths: list[str]) -> Fraction:
    answer, *others = (re.sub(r"\s+", " ", text).strip().lower() for text in (answer, *truths))
    scores = []
    for truth in others:
        longest = max(len(answer), len(truth))
        share = Fraction(recursive_distance(answer, truth), longest) if longest else Fraction(0)
        scores.append(0 if share > Fraction(1, 2) else 1 - share)
    return Fraction(max(scores))


@pytest.mark.slow
def test_anls_equals_its_definition_in_fractions() -> None:
    random = Random(7)
    seen = set()
    for _ in range(10_000):
        truths = ["".join(random.choices("aAbB 1", k=random.randint(0, 8))) for _ in range(random.randint(1, 3))]
        answer = list(random.choice(truths))
        for _ in range(random.randint(0, 4)):
            answer.insert(random.randint(0, len(answer)), random.choice("aAb 1"))
        exact = exact_anls("".join(answer), truths)
        assert anls("".join(answer), truths) == pytest.approx(float(exact))
        assert edit_distance("".join(answer), truths[0]) == recursive_distance("".join(answer), truths[0])
        seen.add(exact)
    assert len(seen) > 20 and {0, 1, Fraction(1, 2)} <= seen


NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(%?)")


def exact_relaxed(answer: str, truth: str) -> bool:
    """Decimal numbers as fractions, and the bounds of what is near."""
    numbers = [NUMBER.fullmatch(text.strip()) for text in (answer, truth)]
    if all(numbers):
        given, true = (Fraction(number[1]) / (100 if number[2] else 1) for number in numbers if number)
        if true:
            low, high = sorted((true * Fraction(95, 100), true * Fraction(105, 100)))
            return low <= given <= high
    return answer.strip().casefold() == truth.strip().casefold()


@pytest.mark.slow
def test_relaxed_accuracy_equals_its_definition_in_fractions() -> None:
    random = Random(8)
    rights = 0
    for _ in range(10_000):
        number = random.choice([random.randint(-99, 99), round(random.uniform(-9, 9), 2), random.randint(0, 9999)])
        near = round(number * random.uniform(0.9, 1.1), 3)
        kinds = [f"{near}", f"{near}%", f" {near} ", f"{near} km", f"{near:,}", "Yes", "yes", "", "0", "."]
        answer = random.choice(kinds)  # with this seed none lies on the bound, where floats may round
        truth = random.choice([f"{number}", f"{number}%", f"{number} KM", f"{number:,}", "YES", "0", answer.upper()])
        assert relaxed_accuracy(answer, [truth]) == exact_relaxed(answer, truth), (answer, truth)
        rights += exact_relaxed(answer, truth)
    assert 2000 < rights < 8000
