"""What to look for -> the message that the model was trained to answer with boxes: phrase, or mark in another picture.

The wordings are those of the official demo; the page, the /ground endpoint and the terminal all take them from here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.text.boxes import Parsed
from dsvl2_app.text.prompt import GROUNDING_TOKEN, REF_TOKENS, Message

Mode = Literal["find", "find_all", "describe", "in_context", "point", "count"]
MODES: tuple[Mode, ...] = ("find", "find_all", "describe", "in_context", "point", "count")

ALLOWED = REF_TOKENS | {GROUNDING_TOKEN}  # what these messages may carry into the prompt
MOST_TOKENS = 1024  # about 40 boxes
MOST_PHRASES = 10  # that are looked for one after the other

DESCRIBE = "Describe this picture."  # unless something else is asked

_WRAPPED = re.compile(r"\s*(?:<\|grounding\|>)?\s*<\|ref\|>((?:(?!<\|ref\|>).)*)<\|/ref\|>\s*\.?\s*", re.DOTALL)
_TAGS = re.compile("|".join(map(re.escape, sorted(ALLOWED))))
_BETWEEN = re.compile(r"[;\uff1b\n]")  # phrases
_FIND_ALL = "\nFind all <|ref|>{phrase}<|/ref|>."
_EVERY: tuple[Mode, ...] = ("find_all", "point", "count")  # modes that ask for all that fits
_ALL = re.compile(
    r"\s*(?:(?:all|every|each)\s+(?:of\s+)?|(?:\u6240\u6709|\u5168\u90e8)\u7684?)", re.IGNORECASE
)  # 所有的, 全部的
_THE = re.compile(r"^(?:the|these|those)\s+", re.IGNORECASE)
_TEXTS: dict[Mode, str] = {
    "find": "\n<|ref|>{phrase}<|/ref|>.",
    "find_all": _FIND_ALL,
    "describe": "\n<|grounding|>{phrase}",
    "point": _FIND_ALL,  # what is pointed at and counted are the boxes
    "count": _FIND_ALL,
}
_IN_CONTEXT = (
    "\n<|grounding|>In the first image, an object within the red rectangle is marked. "
    "Locate the object of the same category in the second image."
)


def ask_for(image: Any, phrase: str, mode: Mode = "find") -> list[Message]:
    """A question about one picture."""
    if mode not in _TEXTS:
        raise SettingsError("The mode is {mode!r}; choose one of {modes}.", mode=mode, modes=", ".join(MODES))
    phrase = _unwrap(phrase)
    if mode == "describe":
        phrase = phrase or DESCRIBE
    if mode in _EVERY:
        phrase = _without_all(phrase)  # which the question says
    if not phrase:
        raise PromptError("There is nothing to look for yet; type a phrase or a question.")
    return _ask([image], _TEXTS[mode].format(phrase=phrase))


def split_phrases(text: str, mode: Mode) -> list[str]:
    """What to look for, one phrase a line or with semicolons between, each of them once. A question is one, whatever is
    in it. Raises a PromptError for more than MOST_PHRASES."""
    if mode not in _TEXTS or mode == "describe":
        return [text]
    pieces: list[str] = _BETWEEN.split(text)
    phrases = list(dict.fromkeys(piece.strip() for piece in pieces if piece.strip()))
    if len(phrases) > MOST_PHRASES:
        raise PromptError(
            "{number} phrases are too many at once; look for {most}.", number=len(phrases), most=MOST_PHRASES
        )
    return phrases or [text]


def name_boxes(parsed: Parsed, phrases: Sequence[str], mode: Mode) -> Parsed:
    """Of all that fits `phrases` the labels are these: where the model says "all dogs" or "the dogs" of "dogs", the
    label is "dogs". Other labels stay as the model wrote them."""
    if mode not in _EVERY:
        return parsed
    plain = [_without_all(_unwrap(phrase)) for phrase in phrases]
    names = {_bare(phrase): phrase for phrase in plain}
    boxes = tuple(replace(box, label=names.get(_bare(box.label), box.label)) for box in parsed.boxes)
    return replace(parsed, boxes=boxes)


def _without_all(phrase: str) -> str:
    return _ALL.sub("", phrase, count=1).strip() if _ALL.match(phrase) else phrase


def _bare(label: str) -> str:
    """What two ways of naming the same have in common."""
    return _THE.sub("", _without_all(label.strip()), count=1).rstrip(" .").casefold()


def _unwrap(phrase: str) -> str:
    """What is looked for without the tags around it, which people copy from other prompts: each mode has its own."""
    wrapped = _WRAPPED.fullmatch(phrase)
    return _TAGS.sub("", wrapped[1] if wrapped else phrase).strip()


def ask_for_marked(marked: Any, image: Any) -> list[Message]:
    """Find in `image` what the red rectangle in `marked` surrounds."""
    return _ask([marked, image], _IN_CONTEXT)


def _ask(images: Sequence[Any], text: str) -> list[Message]:
    parts: list[dict[str, Any]] = []
    for image in images:
        parts += [{"type": "text", "text": "\n"}] * bool(parts) + [{"type": "image", "image": image}]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
