"""MME (Fu et al., "MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models", 2023, section 2.2).

Of every picture two things are asked, of which one is true. The score of a category is the accuracy of its questions
and the accuracy+ of its pictures, those with both answers right, each in percent: 200 at best. Perception is the sum of
ten categories, cognition of four: 2000 and 800.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

MME_PARTS = {
    **dict.fromkeys(
        ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
        "perception",
    ),
    **dict.fromkeys(
        ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"), "cognition"
    ),
}
SAYS = ("yes", "no")


def extract_yes_no(answer: str) -> str:
    """ "yes" or "no": the first word where it is one of them, as MME's own evaluation reads it; else the one of the two
    that is anywhere in the answer, as VLMEvalKit reads it; "" where both or neither are."""
    words = re.findall(r"[a-z]+", answer.lower())
    if words and words[0] in SAYS:
        return words[0]
    if len(words) == 1 and words[0] in ("y", "n"):
        return "yes" if words[0] == "y" else "no"
    said = set(words) & set(SAYS)
    return said.pop() if len(said) == 1 else ""


def sum_mme(scores: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """ "score", the sum of all categories, 2800 at best of the whole benchmark; "perception", "cognition", and each
    category by its name, from (category, picture, score 0 or 1) of each question.

    "pictures left out" counts those that have not two questions, for which there is no accuracy+: their answers count
    for accuracy alone. Raises ValueError for an unknown category, and where there are no questions.
    """
    pictures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for category, picture, score in scores:
        if category not in MME_PARTS:
            raise ValueError(f"MME has no category {category!r}")
        pictures[category][picture].append(score)
    if not pictures:
        raise ValueError("there are no questions")
    found = {
        category: _score_category(list(pictures[category].values())) for category in MME_PARTS if category in pictures
    }
    sums = {part: sum(found[each] for each in found if MME_PARTS[each] == part) for part in ("perception", "cognition")}
    alone = sum(len(pair) != 2 for each in pictures.values() for pair in each.values())
    return {"score": sum(found.values()), **sums, **found, "pictures left out": alone}


def _score_category(pictures: list[list[float]]) -> float:
    every = [score for pair in pictures for score in pair]
    pairs = [float(min(pair) == 1) for pair in pictures if len(pair) == 2]
    return 100 * sum(every) / len(every) + (100 * sum(pairs) / len(pairs) if pairs else 0.0)
