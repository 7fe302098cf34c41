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
from typing import Any

from dsvl2_app.errors import PromptError

USER, ASSISTANT = "<|User|>", "<|Assistant|>"
IMAGE_TOKEN = "<image>"
ROLES = {"user": "user", USER: "user", "assistant": "assistant", ASSISTANT: "assistant", "system": "system"}
REF_TOKENS = frozenset({"<|ref|>", "<|/ref|>"})
GROUNDING_TOKEN = "<|grounding|>"
# What a model's own earlier answer may carry back into the prompt.
ANSWER_TOKENS = REF_TOKENS | {"<|det|>", "<|/det|>", GROUNDING_TOKEN}


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """The place of image number `index` of the conversation."""

    index: int


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a message, wherever its pixels come from."""

    source: Any


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


Piece = Begin | End | ImageSlot | Sequence[Text]
Part = str | Picture
Message = dict[str, Any]


def compose(
    messages: Sequence[Message], *, answer_next: bool = True, continue_answer: bool = False
) -> tuple[list[Piece], list[Any]]:
    """Messages -> pieces in order, and the images in the order of their slots.

    A piece that is a sequence of `Text`s is one string to the tokeniser. `answer_next` ends the prompt where the
    assistant begins to speak; `continue_answer` leaves the last answer open instead.
    """
    if not messages:
        raise PromptError("The conversation is empty; write a message first.")
    pieces: list[Piece] = [Begin()]
    images: list[Any] = []
    system, asked = "", False
    for number, message in enumerate(messages):
        last = number == len(messages) - 1
        role, parts = _read_message(message, number)
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
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    if answer:
        raise PromptError(
            "Message {number} is the assistant's and holds an image; only users can show images.", number=number + 1
        )
    raise PromptError(
        "Message {number} is a system prompt and holds an image; only users can show images.", number=number + 1
    )


def _read_message(message: Message, number: int) -> tuple[str, list[Part]]:
    """Role, and content as strings and images, stripped at its two ends as the official code does."""
    try:
        role, content = ROLES[message["role"]], message["content"]
    except (KeyError, TypeError) as error:
        raise PromptError(
            "Message {number} needs a role (user, assistant or system) and content; got {message!r}.",
            number=number + 1,
            message=str(message)[:80],
        ) from error
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: list[Part] = []
    for part in content if isinstance(content, list | tuple) else [content] if content is not None else []:
        kind = part.get("type") if isinstance(part, dict) else None
        source = part.get("image", part.get("path")) if kind == "image" else None
        if kind == "text" and isinstance(part.get("text"), str):
            # half of a surrogate pair, as JavaScript can send, is no text to a tokeniser
            text = part["text"].encode("utf-8", "replace").decode("utf-8")
            if parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
        elif source is not None:
            parts.append(Picture(source))
        else:
            raise PromptError(
                "Message {number} has a part that is neither text nor an image: {part!r}; "
                'write {{"type": "text", "text": ...}} or {{"type": "image", "image": ...}}.',
                number=number + 1,
                part=str(part)[:80],
            )
    return role, _strip(parts)


def _strip(parts: list[Part]) -> list[Part]:
    while parts and isinstance(parts[0], str) and not (start := parts[0].lstrip()):
        parts = parts[1:]
    if parts and isinstance(parts[0], str):
        parts = [start, *parts[1:]]
    while parts and isinstance(parts[-1], str) and not (end := parts[-1].rstrip()):
        parts = parts[:-1]
    if parts and isinstance(parts[-1], str):
        parts = [*parts[:-1], end]
    return parts


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


def split_special(text: str, special: tuple[str, ...], allowed: frozenset[str]) -> list[str]:
    """Cut `text` so that no piece contains a special token outside `allowed`, yet the pieces join to the same text.

    Tokenised one by one, the pieces spell such a token out in ordinary tokens: the reader sees what was typed,
    the model sees no turn, image or end that nobody of authority put there.
    """
    pieces, start = [], 0
    for match in _match_forbidden(special, allowed).finditer(text):
        pieces.append(text[start : match.start() + 1])
        start = match.start() + 1
    return [*pieces, text[start:]]


@lru_cache(maxsize=16)
def _match_forbidden(special: tuple[str, ...], allowed: frozenset[str]) -> re.Pattern[str]:
    """Kept, because the released tokenizers have 800 special tokens."""
    forbidden = sorted((token for token in special if token not in allowed), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, forbidden)) or "(?!)")  # which matches nothing
