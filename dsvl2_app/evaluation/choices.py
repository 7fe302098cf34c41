"""Multiple choice: which option an answer means, and MMBench's circular evaluation (Liu et al., "MMBench", 2023)."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping

ROTATED = 1_000_000  # added to the number of a question once for each rotation of its options, as in MMBench's index
_MARKS = ".()[],:;!*#{}"
_HEADING = re.compile(r"(?:^|\n)\s*(?:Options|Choices)\s*:\s*", re.IGNORECASE)


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


def contains_text(answer: str, text: str) -> bool:
    """Whether the text stands in the answer as words of its own, but for case, spaces and marks around it."""
    return bool(_plain(text)) and _contains(_plain(answer), _plain(text))


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """A question that has its options inside -> without them, and their texts by letter; none where it has none.

    MMStar's stand behind "Options:" in one line, "A: a cat, B: a dog"; MathVista's behind "Choices:"; RealWorldQA's on
    lines of their own, "A. a cat", before a line that says how to answer, which goes too.
    """
    heading = _HEADING.search(text)
    listed = text[heading.end() :] if heading else text
    marks: list[re.Match[str]] = []
    for letter in string.ascii_uppercase:
        pattern = rf"(?:^|[\s,;])\(?{letter}[:.)]\s" if heading else rf"^\(?{letter}[:.)]\s"
        mark = re.compile(pattern, re.MULTILINE).search(listed, marks[-1].end() - 1 if marks else 0)
        if mark is None:
            break
        marks.append(mark)
    if len(marks) < 2:
        return text, {}
    ends = [mark.start() for mark in marks[1:]] + [len(listed)]
    texts = [listed[mark.end() : end].strip().rstrip(",;").strip() for mark, end in zip(marks, ends, strict=True)]
    if not heading:
        texts = [each.splitlines()[0] if each else "" for each in texts]
    question = text[: heading.start()] if heading else text[: marks[0].start()]
    return question.strip(), dict(zip(string.ascii_uppercase, texts, strict=False))


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
