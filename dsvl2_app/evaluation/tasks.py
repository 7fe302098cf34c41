"""Benchmarks: how each asks, what it reads from an answer, how it scores, and what DeepSeek published.

The wordings are those of VLMEvalKit at the time of DeepSeek's pull request 697 there, which also has the published
numbers: greedy answers of at most 512 tokens, pictures before the text, a full stop at the end taken off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from dsvl2_app.evaluation.choices import circular_accuracy, extract_choice
from dsvl2_app.evaluation.metrics import (
    OCRBENCH_PARTS,
    anls,
    found_at_half,
    ocrbench,
    relaxed_accuracy,
    sum_ocrbench,
)
from dsvl2_app.evaluation.questions import Question, RowError
from dsvl2_app.evaluation.report import Messages
from dsvl2_app.evaluation.vqa import FEWEST, vqa_accuracy
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.grounding import ask_for

SHORTLY = "\nAnswer the question using a single word or phrase."
CHOOSE = "Please select the correct answer from the options above. \n"
CHOOSE_LETTER = f"Answer with the option's letter from the given choices directly. {SHORTLY.strip()}\n \n"
ROTATED = 1_000_000  # added to the index of a question once for each rotation of its options


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer that has its score."""

    id: str
    kind: str
    score: float


def _mean(scored: Sequence[Scored]) -> dict[str, float]:
    return {"score": 100 * sum(each.score for each in scored) / len(scored)}


@dataclass(frozen=True, slots=True)
class Task:
    metric: str  # its name
    ask: Callable[[Question], Messages]
    extract: Callable[[Question, str], str]  # from the whole answer
    score: Callable[[Question, str], float]  # of what was extracted, 0 to 1
    check: Callable[[Question], None]  # raises RowError for what cannot be scored
    total: Callable[[Sequence[Scored]], dict[str, float]] = _mean  # "score" and what else the benchmark reports
    published: Mapping[str, float] = field(default_factory=dict[str, float])  # "score" by model


def _say(pictures: Sequence[ImageRef], text: str, apart: bool = True) -> Messages:
    """The pictures, each with a line break behind it or one behind all of them, then the text."""
    content = []
    for picture in pictures:
        content += [{"type": "image", "image": picture}, *([{"type": "text", "text": "\n"}] if apart else [])]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text if apart else f"\n{text}"}]}]


def _list_options(question: Question) -> str:
    return "".join(f"{letter}. {text}\n" for letter, text in question.options.items())


def _ask_shortly(question: Question) -> Messages:
    return _say(question.pictures, question.prompt + SHORTLY)


def _ask_plainly(question: Question) -> Messages:
    return _say(question.pictures, question.prompt)


def _ask_to_choose(question: Question) -> Messages:
    return _say(question.pictures, f"Question: {question.prompt}\nOptions:\n{_list_options(question)}{CHOOSE}")


def _ask_mmmu(question: Question) -> Messages:
    """The first picture twice as large, and every picture before the text, which still says <image 1> where it was."""
    first, *others = question.pictures
    width, height = first.size
    doubled = ImageRef.of(first.open().resize((2 * width, 2 * height), Image.Resampling.BILINEAR))
    return _say([doubled, *others], f" {question.prompt}\n{_list_options(question)}{CHOOSE_LETTER}", apart=False)


def _ask_to_find(question: Question) -> Messages:
    return ask_for(question.pictures[0], question.prompt)


def _extract_text(question: Question, answer: str) -> str:
    return answer.strip().rstrip(".")


def _extract_letter(question: Question, answer: str) -> str:
    return extract_choice(answer, question.options) or ""


def _extract_box(question: Question, answer: str) -> str:
    """The first box, unless its corners are the wrong way round."""
    boxes = parse_boxes(answer).boxes
    if not boxes or "corners swapped" in boxes[0].notes:
        return ""
    return f"<|det|>{[[boxes[0].x1, boxes[0].y1, boxes[0].x2, boxes[0].y2]]}<|/det|>"


def _score_letter(question: Question, answer: str) -> float:
    return float(answer == question.truths[0])


def _score_box(question: Question, answer: str) -> float:
    assert question.box is not None
    return found_at_half(answer, question.box, question.pictures[0].size)


def _check_truths(question: Question) -> None:
    if not question.truths:
        raise RowError("it has no answer")


def _check_people(question: Question) -> None:
    if len(question.truths) < FEWEST:
        raise RowError(
            "it has {number} answers of people, fewer than {fewest}", number=len(question.truths), fewest=FEWEST
        )


def _check_options(question: Question) -> None:
    if not question.options:
        raise RowError("it has no options")
    if len(question.truths) != 1 or question.truths[0] not in question.options:
        raise RowError("its answer {truths} is none of its options", truths=" ".join(question.truths))


def _check_part(question: Question) -> None:
    _check_truths(question)
    if question.kind not in OCRBENCH_PARTS:
        raise RowError("its part {part!r} is none of OCRBench", part=question.kind)


def _check_box(question: Question) -> None:
    if question.box is None:
        raise RowError("it has no box")


def _total_ocrbench(scored: Sequence[Scored]) -> dict[str, float]:
    points = sum_ocrbench((each.kind, each.score) for each in scored)
    return {"score": points.pop("Final Score"), **points}


def _total_circles(scored: Sequence[Scored]) -> dict[str, float]:
    """Accuracy over all rotations that are there is said beside the circular one."""
    circles = [(str(int(each.id) % ROTATED) if each.id.isdigit() else each.id, each.score) for each in scored]
    return {"score": 100 * circular_accuracy(circles), "every rotation by itself": _mean(scored)["score"]}


def _choose(ask: Callable[[Question], Messages] = _ask_to_choose, **published: float) -> Task:
    return Task("accuracy", ask, _extract_letter, _score_letter, _check_options, published=published)


_ANLS = Task("ANLS", _ask_shortly, _extract_text, lambda question, answer: anls(answer, question.truths), _check_truths)
_REFCOCO = Task("accuracy at IoU 0.5", _ask_to_find, _extract_box, _score_box, _check_box)

TASKS: dict[str, Task] = {
    "docvqa": _ANLS,
    "infovqa": _ANLS,
    "chartqa": Task(
        "relaxed accuracy",
        _ask_shortly,
        _extract_text,
        lambda question, answer: relaxed_accuracy(answer, question.truths),
        _check_truths,
        published={"tiny": 81.2, "small": 84.48},
    ),
    "textvqa": Task(
        "soft accuracy",
        _ask_shortly,
        _extract_text,
        lambda question, answer: vqa_accuracy(answer, question.truths),
        _check_people,
        published={"tiny": 80.4, "small": 83.34},
    ),
    "ocrbench": Task(
        "points",
        _ask_plainly,
        _extract_text,
        lambda question, answer: ocrbench(answer, question.truths, question.kind),
        _check_part,
        _total_ocrbench,
        published={"tiny": 804, "small": 835},
    ),
    "mmstar": _choose(tiny=49.3, small=57.0),
    "ai2d": _choose(tiny=74.8, small=79.0),
    "realworldqa": _choose(tiny=65.1, small=69.4),
    "mmmu": _choose(_ask_mmmu, tiny=40.2, small=47.8),
    "mmbench": Task(
        "circular accuracy", _ask_to_choose, _extract_letter, _score_letter, _check_options, _total_circles
    ),
    "refcoco": _REFCOCO,
    "refcoco+": _REFCOCO,
    "refcocog": _REFCOCO,
}
