"""An answer against the truth: boxes by intersection over union, numbers and words by what a person would read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsvl2_app.text.boxes import overlap, parse_boxes

Box = Sequence[float]  # left, top, right, bottom, in any one unit

NUMBERS = {word: number for number, word in enumerate(
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))} | {"no": 0}  # fmt: skip


def score_boxes(answer: str, truth: Sequence[Box]) -> float:
    """Nothing to find: no box given. One: whether the first box has it. Several: F1 at IoU 0.5."""
    given = [box.corners for box in parse_boxes(answer).boxes]
    if not truth:
        return float(not given)
    if len(truth) == 1:
        return float(bool(given) and overlap(given[0], truth[0]) >= 0.5)
    left = list(truth)
    hits = 0
    for box in given:
        best = max(left, key=lambda other: overlap(box, other), default=None)
        if best is not None and overlap(box, best) >= 0.5:
            left.remove(best)
            hits += 1
    return 2 * hits / (len(given) + len(truth))


def read_number(answer: str) -> int | None:
    for word in re.findall(r"\w+", answer.lower()):
        if word.isascii() and word.isdigit():
            return int(word)
        if word in NUMBERS:
            return NUMBERS[word]
    return None


def read_quotation(answer: str) -> str:
    """What stands between the outermost quotation marks, or the whole answer."""
    first, last = answer.find('"'), answer.rfind('"')
    return answer[first + 1 : last] if first < last else answer.strip().rstrip(".")


def says_any(answer: str, accepted: Sequence[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(fact)}(?!\w)", answer, re.IGNORECASE) for fact in accepted)
