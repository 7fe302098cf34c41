"""Chat messages -> the official prompt, as pieces of text and slots for images; and the tokens it becomes.

One turn is `<|User|>: {text}\\n\\n<|Assistant|>:` and the stripped answer directly after it, closed by the end token;
the begin token stands once at the start, a system prompt before the first turn. Text on each side of an image is
tokenised by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from dsvl2_app.errors import PromptError
from dsvl2_app.text.messages import ASSISTANT, IMAGE_TOKEN, USER, Message, Part, read_message

REF_TOKENS = frozenset({"<|ref|>", "<|/ref|>"})
GROUNDING_TOKEN = "<|grounding|>"
# What a model's own earlier answer may carry back into the prompt.
ANSWER_TOKENS = REF_TOKENS | {"<|det|>", "<|/det|>", GROUNDING_TOKEN}


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """The place of image number `index` of the conversation."""

    index: int


@dataclass(frozen=True, slots=True)
class Text:
    """Text to tokenise by itself. `author` wrote `content`; everything around it is the template's."""

    content: str
    author: str  # "user", "assistant", "system" or "template"


@dataclass(frozen=True, slots=True)
class Begin:
    """The begin-of-sentence token."""


@dataclass(frozen=True, slots=True)
class End:
    """The end-of-sentence token."""


Piece = Begin | End | ImageSlot | list[Text]


def compose(
    messages: Sequence[Message], *, answer_next: bool = True, continue_answer: bool = False, trusted: bool = True
) -> tuple[list[Piece], list[Any]]:
    """Messages -> pieces in order, and the images in the order of their slots.

    A piece that is a sequence of `Text`s is one string to the tokeniser. `answer_next` ends the prompt where the
    assistant begins to speak; `continue_answer` leaves the last answer open instead. `<image>` in `trusted` text is a
    place for a picture; places whose picture is still to come are `OPEN` among the images.
    """
    if not messages:
        raise PromptError("The conversation is empty; write a message first.")
    pieces: list[Piece] = [Begin()]
    images: list[Any] = []
    system, asked = "", False
    for number, message in enumerate(messages):
        last = number == len(messages) - 1
        role, parts = read_message(message, number, trusted=trusted)
        if role == "system":
            if number:
                raise PromptError(
                    "Message {number} is a system prompt; only the first message can be one.", number=number + 1
                )
            system = _join_text(parts, number)
        elif role == "assistant":
            answer = _join_text(parts, number, answer=True)
            pieces += [[Text(answer, "assistant")]] if answer else []
            pieces += [] if last and (continue_answer or not answer) else [End()]
        else:
            opening = [Text(f"{system}\n\n", "system")] if system else []
            pieces += _compose_question(parts, opening, images, with_answer=answer_next or not last)
            system = ""
            asked = True
    if not asked:
        raise PromptError("The conversation has no message of a user; write one first.")
    return pieces, images


def _compose_question(parts: list[Part], opening: list[Text], images: list[Any], with_answer: bool) -> list[Piece]:
    empty = not parts
    pieces: list[Piece] = []
    texts = [*opening, Text(f"{USER}:" if empty else f"{USER}: ", "template")]
    for part in parts:
        if isinstance(part, str):
            texts.append(Text(part, "user"))
        else:
            pieces += [texts, ImageSlot(len(images))]
            images.append(part.source)
            texts = []
    ending = "" if empty else "\n\n"
    return [*pieces, [*texts, Text(f"{ending}{ASSISTANT}:" if with_answer else ending, "template")]]


def _join_text(parts: list[Part], number: int, *, answer: bool = False) -> str:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "".join(texts)
    if answer:
        raise PromptError(
            "Message {number} is the assistant's and holds an image; only users can show images.", number=number + 1
        )
    raise PromptError(
        "Message {number} is a system prompt and holds an image; only users can show images.", number=number + 1
    )


def place_images(text: str, images: Sequence[Any]) -> list[dict[str, Any]]:
    """Content parts of a typed message: `<image>` says where the next image goes, leftover images go first.

    Images that are left over are set off by line breaks, the form the model was trained on; an `<image>` for which
    there is none stays text.
    """
    pieces = text.split(IMAGE_TOKEN)
    placed = min(len(pieces) - 1, len(images))
    leftover, remaining = images[: len(images) - placed], iter(images[len(images) - placed :])
    parts: list[dict[str, Any]] = []
    for image in leftover:
        parts += [{"type": "image", "image": image}, {"type": "text", "text": "\n"}]
    for number, piece in enumerate(pieces):
        if 0 < number <= placed:
            parts.append({"type": "image", "image": next(remaining)})
        elif number:
            parts.append({"type": "text", "text": IMAGE_TOKEN})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts


def count_pictures(message: Message) -> int:
    content = message.get("content")
    parts = cast("list[dict[str, Any]]", content) if isinstance(content, list) else []
    return sum(part.get("type") == "image" for part in parts)


def split_special(text: str, special: tuple[str, ...], allowed: frozenset[str]) -> list[str]:
    """Cut `text` so that no piece contains a special token outside `allowed`, yet the pieces join to the same text.

    Tokenised one by one, the pieces spell such a token out in ordinary tokens: the reader sees what was typed,
    the model sees no turn, image or end that nobody of authority put there.
    """
    pieces: list[str] = []
    start = 0
    for match in _match_forbidden(special, allowed).finditer(text):
        pieces.append(text[start : match.start() + 1])
        start = match.start() + 1
    return [*pieces, text[start:]]


@lru_cache(maxsize=16)
def _match_forbidden(special: tuple[str, ...], allowed: frozenset[str]) -> re.Pattern[str]:
    """Kept, because the released tokenizers have 800 special tokens."""
    forbidden = sorted((token for token in special if token not in allowed), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, forbidden)) or "(?!)")  # which matches nothing
