"""Multiple choice: which option an answer means, and MMBench's circular evaluation (Liu et al., "MMBench", 2023)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_MARKS = ".()[],:;!*#{}"


def extract_choice(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option that the answer names, or None where it names none or several.

    `options` are texts by capital letter. The letter counts where it stands alone, in any brackets and with any mark
    behind it; then the whole text of an option; then the only option whose text is in the answer. "A" before a word
    other than "or", "and" and "is" is an article. This is MMBench's matching by rules (section 4.2), without a language
    model that guesses the rest: an answer that no rule can read is wrong.
    """
    named = {letter for letter in options if _names(answer, letter)}
    if len(named) == 1:
        return named.pop()
    if named:
        return None
    said = _plain(answer)
    equal = [letter for letter, text in options.items() if said and said == _plain(text)]
    if equal:
        return equal[0] if len(equal) == 1 else None
    within = [letter for letter, text in options.items() if _plain(text) and _contains(said, _plain(text))]
    return within[0] if len(within) == 1 else None


def _names(answer: str, letter: str) -> bool:
    marks = re.escape(_MARKS)
    alone = rf"(?:^|(?<=[\s{marks}])){letter}(?=[\s{marks}]|$)"
    article = r"(?!\s+(?!(?:or|and|is)\b)[^\W\d_])" if letter == "A" else ""
    return re.search(alone + article, answer) is not None or answer.strip() == letter.lower()


def _plain(text: str) -> str:
    return " ".join(text.lower().strip().strip(_MARKS).split())


def _contains(text: str, part: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None


def rotate_options(options: Mapping[str, str], truth: str) -> list[tuple[dict[str, str], str]]:
    """Every rotation of the options with the letter of the right one: the questions of a circular evaluation, of which
    the first is the question as it was. Raises ValueError where the truth is none of the letters."""
    letters = list(options)
    if truth not in options:
        raise ValueError(f"the truth {truth!r} is none of the options {', '.join(letters)}")
    place = letters.index(truth)
    rotations = []
    for turn in range(len(letters)):
        texts = [options[letters[(index + turn) % len(letters)]] for index in range(len(letters))]
        rotations.append((dict(zip(letters, texts, strict=True)), letters[(place - turn) % len(letters)]))
    return rotations


def circular_accuracy(scores: Iterable[tuple[str, float]]) -> float:
    """The share of questions that are right in every rotation (section 4.1), from (question, score) of each rotation.

    Raises ValueError where there are no questions.
    """
    worst: dict[str, float] = {}
    for question, score in scores:
        worst[question] = min(score, worst.get(question, 1.0))
    if not worst:
        raise ValueError("there are no questions")
    return sum(worst.values()) / len(worst)
