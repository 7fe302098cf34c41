"""How benchmarks compare an answer with the truth: a score from 0 to 1 for each question, as their papers define it.

Each function takes the text as it was extracted from the model's answer. Where a paper leaves something open, what the
benchmark's evaluation code does is followed, because published numbers come from it, and the docstring says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsvl2_app.evaluation.scoring import Box
from dsvl2_app.text.boxes import overlap, parse_boxes

# OCRBench's ten parts, and which of its five tasks each counts for.
OCRBENCH_PARTS = {
    "Regular Text Recognition": "Text Recognition",
    "Irregular Text Recognition": "Text Recognition",
    "Artistic Text Recognition": "Text Recognition",
    "Handwriting Recognition": "Text Recognition",
    "Digit String Recognition": "Text Recognition",
    "Non-Semantic Text Recognition": "Text Recognition",
    "Scene Text-centric VQA": "Scene Text-centric VQA",
    "Doc-oriented VQA": "Doc-oriented VQA",
    "Key Information Extraction": "Key Information Extraction",
    "Handwritten Mathematical Expression Recognition": "Handwritten Mathematical Expression Recognition",
}
FORMULAS = "Handwritten Mathematical Expression Recognition"


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's: the fewest characters to insert, delete or replace."""
    if len(one) < len(other):
        one, other = other, one
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        here = [row]
        for column, opposite in enumerate(other, 1):
            here.append(min(above[column] + 1, here[-1] + 1, above[column - 1] + (letter != opposite)))
        above = here
    return above[-1]


def anls(answer: str, truths: Sequence[str], threshold: float = 0.5) -> float:
    """Average normalized Levenshtein similarity of DocVQA and InfoVQA (Biten et al., "Scene Text Visual Question
    Answering", 2019, equation 1), of one question: the best of its truths, and 0 where that is below the threshold.

    Case does not count, and neither does how wide a space is. A similarity of exactly the threshold is kept, as
    VLMEvalKit keeps it; the paper's inequality would drop it.
    """
    _require(truths)
    written = _squeeze(answer).lower()
    best = max(_similarity(written, _squeeze(truth).lower()) for truth in truths)
    return best if best >= threshold else 0.0


def _similarity(one: str, other: str) -> float:
    longest = max(len(one), len(other))
    return 1 - edit_distance(one, other) / longest if longest else 1.0


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def relaxed_accuracy(answer: str, truths: Sequence[str], tolerance: float = 0.05) -> float:
    """Of ChartQA (Masry et al., "ChartQA", 2022, section 5.1, after Methani et al., "PlotQA", 2020): a number may be
    5 % of the true one away, other text must be equal but for its case.

    "12%" is 0.12. What is not all number, such as "1,234" or "5 km", is text; so is any answer where the truth is zero,
    which has no 5 %. That is how pix2struct and VLMEvalKit read numbers.
    """
    _require(truths)
    return float(any(_is_close(answer.strip(), truth.strip(), tolerance) for truth in truths))


def _is_close(answer: str, truth: str, tolerance: float) -> bool:
    given, true = _read_float(answer), _read_float(truth)
    if given is None or not true:
        return answer.lower() == truth.lower()
    return abs(given - true) / abs(true) <= tolerance


def _read_float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def ocrbench(answer: str, truths: Sequence[str], part: str) -> float:
    """Whether any truth stands in the answer (Liu et al., "OCRBench", 2023, section 3): but for case and line ends, or
    of formulas but for spaces. An empty truth is found in no answer. Raises ValueError for an unknown part."""
    _require(truths)
    if part not in OCRBENCH_PARTS:
        raise ValueError(f"OCRBench has no part {part!r}")

    def plain(text: str) -> str:
        text = text.strip().replace("\n", " ")
        return text.replace(" ", "") if part == FORMULAS else text.lower()

    return float(any(plain(truth) and plain(truth) in plain(answer) for truth in truths))


def sum_ocrbench(scores: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Points of the five tasks and "Final Score", 1000 at best of the whole benchmark, from (part, score) of each
    question. Raises ValueError for an unknown part."""
    points = dict.fromkeys(OCRBENCH_PARTS.values(), 0.0)
    for part, score in scores:
        if part not in OCRBENCH_PARTS:
            raise ValueError(f"OCRBench has no part {part!r}")
        points[OCRBENCH_PARTS[part]] += score
    return {**points, "Final Score": sum(points.values())}


def found_at_half(answer: str, truth: Box, size: tuple[int, int]) -> float:
    """Accuracy at IoU 0.5 of RefCOCO (Yu et al., "Modeling Context in Referring Expressions", 2016): whether the first
    box of the answer has an intersection over union of at least 0.5 with the true one.

    `truth` is left, top, right, bottom in pixels of a picture of `size`; the answer's boxes are in 0..999. A box whose
    corners are the wrong way round is no hit, although `parse_boxes` mends it. Raises ValueError where the truth is no
    box.
    """
    if not (truth[0] < truth[2] and truth[1] < truth[3]):
        raise ValueError(f"the true box {list(truth)} is empty")
    boxes = parse_boxes(answer).boxes
    if not boxes or "corners swapped" in boxes[0].notes:
        return 0.0
    return float(overlap(boxes[0].pixels(*size), truth) >= 0.5)


def _require(truths: Sequence[str]) -> None:
    """Raises ValueError where there is nothing to compare with, and TypeError for a text in place of a list of them."""
    if isinstance(truths, str):
        raise TypeError("the truths are a list of texts")
    if not truths:
        raise ValueError("a question without a truth cannot be scored")
