"""Soft accuracy of VQA and TextVQA (Antol et al., "VQA: Visual Question Answering", 2015, section 3).

Ten people answered each question; an answer that three of them gave is right. What is compared is normalised as in
the evaluation code of VQA: case, punctuation, articles, number words and missing apostrophes do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsvl2_app.evaluation.scoring import NUMBERS

FEWEST = 4  # truths: of fewer, leaving one out leaves less than the three that a right answer needs

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_ARTICLES = ("a", "an", "the")
_NUMBERS = {word: str(number) for word, number in NUMBERS.items() if word != "no"} | {"none": "0"}
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()  # noqa: SIM905
# Each without one of its apostrophes. The last entry is the other way round in the evaluation code too.
_MENDED = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTIONS
    for place, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}


def vqa_accuracy(answer: str, truths: Sequence[str]) -> float:
    """The mean over all subsets that leave one truth out of min(1, equal truths / 3).

    Raises ValueError for fewer than four truths, of which no answer could be right.
    """
    if isinstance(truths, str) or len(truths) < FEWEST:
        raise ValueError(f"soft accuracy needs the answers of at least {FEWEST} people")
    written = normalize(answer)
    equal = [normalize(truth) == written for truth in truths]
    return sum(min(1.0, (sum(equal) - left_out) / 3) for left_out in equal) / len(equal)


def normalize(text: str) -> str:
    """What is compared: "The two dogs." and "2 dogs" become "2 dogs"."""
    text = _strip_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_MENDED.get(word, word) for word in words if word not in _ARTICLES)


def _strip_punctuation(text: str) -> str:
    """A mark beside a space goes, one between letters becomes a space; all go where a comma parts digits."""
    parts_digits = re.search(r"\d,\d", text) is not None
    stripped = text
    for mark in _PUNCTUATION:
        goes = parts_digits or f"{mark} " in text or f" {mark}" in text
        stripped = stripped.replace(mark, "" if goes else " ")
    return re.sub(r"\.(?!\d)", "", stripped)
