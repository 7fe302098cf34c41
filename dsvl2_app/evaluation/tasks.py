"""Benchmarks: how each asks, what it reads from an answer, how it scores, and what DeepSeek published.

A full stop at the end of an answer is taken off, as VLMEvalKit's class for DeepSeek-VL2 does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dsvl2_app.evaluation import mathvista
from dsvl2_app.evaluation.choices import ROTATED, circular_accuracy, contains_text, extract_choice
from dsvl2_app.evaluation.metrics import (
    OCRBENCH_PARTS,
    anls,
    found_at_half,
    ocrbench,
    relaxed_accuracy,
    sum_ocrbench,
)
from dsvl2_app.evaluation.mme import MME_PARTS, SAYS, extract_yes_no, sum_mme
from dsvl2_app.evaluation.questions import Question, RowError
from dsvl2_app.evaluation.report import Messages
from dsvl2_app.evaluation.vqa import FEWEST, vqa_accuracy
from dsvl2_app.evaluation.wordings import (
    ask_mathvista,
    ask_mmmu,
    ask_plainly,
    ask_realworldqa,
    ask_shortly,
    ask_to_choose,
    ask_to_find,
)
from dsvl2_app.text.boxes import parse_boxes


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer that has its score."""

    id: str
    kind: str
    score: float
    group: str = ""


MOST_PARTS = 40  # that are said of: MMMU has 30 subjects


def _mean(scored: Sequence[Scored]) -> dict[str, float]:
    """In percent, and the same of each part where there are several."""
    kinds: dict[str, list[float]] = {}
    for each in scored:
        kinds.setdefault(each.kind, []).append(each.score)
    parts = {kind: 100 * sum(scores) / len(scores) for kind, scores in sorted(kinds.items())}
    whole = {"score": 100 * sum(each.score for each in scored) / len(scored)}
    return {**parts, **whole} if 1 < len(parts) <= MOST_PARTS else whole


@dataclass(frozen=True, slots=True)
class Task:
    metric: str  # its name
    ask: Callable[[Question], Messages]
    extract: Callable[[Question, str], str]  # from the whole answer
    score: Callable[[Question, str], float]  # of what was extracted, 0 to 1
    check: Callable[[Question], None]  # raises RowError for what cannot be scored
    total: Callable[[Sequence[Scored]], dict[str, float]] = _mean  # "score" and what else the benchmark reports
    # "score" by model: in the paper on DeepSeek-VL2 (2024), and in DeepSeek's pull request 697 to VLMEvalKit.
    paper: Mapping[str, float] = field(default_factory=dict[str, float])
    vlmevalkit: Mapping[str, float] = field(default_factory=dict[str, float])


def _extract_text(question: Question, answer: str) -> str:
    return answer.strip().rstrip(".")


def _extract_letter(question: Question, answer: str) -> str:
    return extract_choice(answer, question.options) or ""


def _extract_letter_or_text(question: Question, answer: str) -> str:
    return _extract_letter(question, answer) if question.options else _extract_text(question, answer)


def _extract_box(question: Question, answer: str) -> str:
    """The first box, unless its corners are the wrong way round."""
    boxes = parse_boxes(answer).boxes
    if not boxes or "corners swapped" in boxes[0].notes:
        return ""
    return f"<|det|>{[[boxes[0].x1, boxes[0].y1, boxes[0].x2, boxes[0].y2]]}<|/det|>"


def _score_letter(question: Question, answer: str) -> float:
    return float(answer == question.truths[0])


def _score_letter_or_same(question: Question, answer: str) -> float:
    """Of an open question the text must be the same, but for case and a full stop."""
    if question.options:
        return _score_letter(question, answer)
    return float(answer.lower() in [truth.strip().rstrip(".").lower() for truth in question.truths])


def _score_mmmu(question: Question, answer: str) -> float:
    """Of an open question a truth must stand in the answer, as VLMEvalKit reads it."""
    if question.options:
        return _score_letter(question, answer)
    return float(any(contains_text(answer, truth) for truth in question.truths))


def _score_mathvista(question: Question, answer: str) -> float:
    if question.options:
        return _score_letter(question, answer)
    return mathvista.score_answer(answer, question.truths[0], question.answer_type, question.precision)


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


def _check_choice_or_open(question: Question) -> None:
    (_check_options if question.options else _check_truths)(question)


def _check_mmmu(question: Question) -> None:
    if question.split == "dev":
        raise RowError("it is of the split dev, whose questions are examples and no part of the score")
    _check_choice_or_open(question)


def _check_mathvista(question: Question) -> None:
    _check_choice_or_open(question)
    if not question.options and question.answer_type not in mathvista.ANSWER_TYPES:
        raise RowError("its answer_type {form!r} is none of MathVista", form=question.answer_type)


def _check_yes_no(question: Question) -> None:
    if len(question.truths) != 1 or question.truths[0].strip().rstrip(".").lower() not in SAYS:
        raise RowError("its answer {truths} is neither yes nor no", truths=" ".join(question.truths))
    if question.kind not in MME_PARTS:
        raise RowError("its category {part!r} is none of MME", part=question.kind)


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


def _total_mme(scored: Sequence[Scored]) -> dict[str, float]:
    return sum_mme((each.kind, each.group, each.score) for each in scored)


def _total_circles(scored: Sequence[Scored]) -> dict[str, float]:
    """Accuracy over all rotations that are there is said beside the circular one."""
    circles = [(str(int(each.id) % ROTATED) if each.id.isdigit() else each.id, each.score) for each in scored]
    return {"score": 100 * circular_accuracy(circles), "every rotation by itself": _mean(scored)["score"]}


def make_circular(task: Task) -> Task:
    """The same, where a question is right only with every rotation of its options."""
    return replace(task, metric="circular accuracy", total=_total_circles)


def _sizes(tiny: float, small: float, base: float) -> dict[str, float]:
    return {"tiny": tiny, "small": small, "base": base}


def _choice(paper: Mapping[str, float], **vlmevalkit: float) -> Task:
    return Task("accuracy", ask_to_choose, _extract_letter, _score_letter, _check_options, paper=paper,
                vlmevalkit=vlmevalkit)  # fmt: skip


def _anls(paper: Mapping[str, float]) -> Task:
    return Task("ANLS", ask_shortly, _extract_text, lambda asked, answer: anls(answer, asked.truths), _check_truths,
                paper=paper)  # fmt: skip


def _refcoco(paper: Mapping[str, float]) -> Task:
    return Task("accuracy at IoU 0.5", ask_to_find, _extract_box, _score_box, _check_box, paper=paper)


TASKS: dict[str, Task] = {
    "docvqa": _anls(_sizes(88.9, 92.3, 93.3)),
    "infovqa": _anls(_sizes(66.1, 75.8, 78.1)),
    "chartqa": Task(
        "relaxed accuracy",
        ask_shortly,
        _extract_text,
        lambda asked, answer: relaxed_accuracy(answer, asked.truths),
        _check_truths,
        paper=_sizes(81.0, 84.5, 86.0),
        vlmevalkit={"tiny": 81.2, "small": 84.48},
    ),
    "textvqa": Task(
        "soft accuracy",
        ask_shortly,
        _extract_text,
        lambda asked, answer: vqa_accuracy(answer, asked.truths),
        _check_people,
        paper=_sizes(80.7, 83.4, 84.2),
        vlmevalkit={"tiny": 80.4, "small": 83.34},
    ),
    "ocrbench": Task(
        "points",
        ask_plainly,
        _extract_text,
        lambda asked, answer: ocrbench(answer, asked.truths, asked.kind),
        _check_part,
        _total_ocrbench,
        paper=_sizes(809, 834, 811),
        vlmevalkit={"tiny": 804, "small": 835},
    ),
    "mmstar": _choice(_sizes(45.9, 57.0, 61.3), tiny=49.3, small=57.0),
    "ai2d": _choice(_sizes(71.6, 80.0, 81.4), tiny=74.8, small=79.0),
    "realworldqa": Task(
        "accuracy",
        ask_realworldqa,
        _extract_letter_or_text,
        _score_letter_or_same,
        _check_choice_or_open,
        vlmevalkit={"tiny": 65.1, "small": 69.4},
    ),
    "mmmu": Task(
        "accuracy",
        ask_mmmu,
        _extract_letter_or_text,
        _score_mmmu,
        _check_mmmu,
        paper=_sizes(40.7, 48.0, 51.1),
        vlmevalkit={"tiny": 40.2, "small": 47.8},
    ),
    "mme": Task(
        "accuracy and accuracy+",
        ask_plainly,
        lambda asked, answer: extract_yes_no(answer),
        lambda asked, answer: float(answer == asked.truths[0].strip().rstrip(".").lower()),
        _check_yes_no,
        _total_mme,
        paper=_sizes(1915, 2123, 2253),
    ),
    "mmbench": Task(
        "circular accuracy",
        ask_to_choose,
        _extract_letter,
        _score_letter,
        _check_options,
        _total_circles,
        paper=_sizes(73.3, 82.3, 83.1),
    ),
    "mathvista": Task(
        "accuracy",
        ask_mathvista,
        lambda asked, answer: mathvista.extract_answer(answer, asked.options, asked.answer_type),
        _score_mathvista,
        _check_mathvista,
        paper=_sizes(53.6, 60.7, 62.8),
    ),
    # The paper's numbers are of the splits "val".
    "refcoco": _refcoco(_sizes(84.7, 93.9, 95.1)),
    "refcoco+": _refcoco(_sizes(75.9, 89.4, 91.2)),
    "refcocog": _refcoco(_sizes(73.8, 92.6, 92.8)),
}
