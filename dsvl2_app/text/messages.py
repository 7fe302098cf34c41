"""Chat messages in the spellings of transformers, the official code and OpenAI's clients -> a role, and parts.

A part is text or a picture. Content is a string or a list of parts, in any order:

    {"type": "text", "text": ...}                          "input_text" and "output_text" as well
    {"type": "image", "image": ...}                        or "url", "path", "base64", "bytes" in place of "image"
    {"type": "image_url", "image_url": {"url": ...}}       or the address itself; "input_image" as well
    {"type": "image"}                                      a place for a picture

The pictures of places stand beside the content, as "images" (or "image") of the message, or come later. In trusted
text `<image>` is such a place too, as in the official code. What is None counts as absent: rows of a table have it
in the columns that they do not use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from dsvl2_app.errors import PromptError

USER, ASSISTANT = "<|User|>", "<|Assistant|>"
IMAGE_TOKEN = "<image>"
ROLES = {"user": "user", USER: "user", "assistant": "assistant", ASSISTANT: "assistant", "system": "system"}
TEXT_KINDS = ("text", "input_text", "output_text")
PICTURE_KINDS = ("image", "image_url", "input_image")
PICTURE_KEYS = ("image", "url", "path", "base64", "bytes", "image_url")
# Notes of chat clients that say nothing to the model; `detail` asks OpenAI's models for more or fewer tiles.
MESSAGE_NOTES = ("metadata", "options", "name", "id", "status", "refusal", "annotations")
PART_NOTES = ("detail", "annotations", "cache_control", "id", "alt_text")


class Open:
    """A place whose picture is not there yet."""


OPEN = Open()


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a message, wherever its pixels come from; `OPEN` where they are still to come."""

    source: Any


Part = str | Picture
Message = dict[str, Any]


def read_message(message: Message, number: int, *, trusted: bool = True) -> tuple[str, list[Part]]:
    """Role and parts of message `number` (from 0), stripped at their two ends as the official code does."""
    try:
        role, content = ROLES[message["role"]], message["content"]
    except (KeyError, TypeError) as error:
        raise PromptError(
            "Message {number} needs a role (user, assistant or system) and content; got {message}.",
            number=number + 1,
            message=describe(message),
        ) from error
    _check_names(message, ("role", "content", "images", "image", *MESSAGE_NOTES), number)
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts: list[Part] = []
    for part in content if is_several(content) else [content] if content is not None else []:
        read = _read_part(part, number)
        if isinstance(read, str) and parts and isinstance(parts[-1], str):
            parts[-1] += read
        else:
            parts.append(read)
    if trusted:
        parts = [piece for part in parts for piece in (_open_places(part) if isinstance(part, str) else [part])]
    return role, _strip(_fill(parts, _read_beside(message), number))


def fill_places(sources: Sequence[Any], images: Sequence[Any]) -> list[Any]:
    """`sources` with `images` at the open places, in order; there must be as many of both."""
    places, remaining = sum(source is OPEN for source in sources), iter(images)
    if places != len(images):
        raise PromptError(
            "The text has {places} <image> tokens for {images} images; write one for each image.",
            places=places,
            images=len(images),
        )
    return [next(remaining) if source is OPEN else source for source in sources]


def is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_several(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def describe(value: Any) -> str:
    """What was given, without the letters of a picture and without a path of this machine."""
    if not is_mapping(value):
        return f"a {type(value).__name__}"
    shown = (
        f"{key!r}: {item[:20]!r}" if key in ("type", "role") and isinstance(item, str) else f"{key!r}: ..."
        for key, item in value.items()
    )
    return "{" + ", ".join(shown)[:80] + "}"


def _check_names(given: dict[str, Any], known: Sequence[str], number: int) -> None:
    for name, value in given.items():
        if name not in known and not _is_nothing(value):
            raise PromptError(
                "Message {number} has {name!r}, which is not understood; write its text and pictures as content.",
                number=number + 1,
                name=str(name)[:40],
            )


def _read_part(part: Any, number: int) -> Part:
    if is_mapping(part):
        kind, text = part.get("type"), part.get("text")
        pictures = [key for key in PICTURE_KEYS if part.get(key) is not None]
        if kind in TEXT_KINDS and isinstance(text, str) and not pictures:
            _check_names(part, ("type", "text", *PART_NOTES), number)
            # half of a surrogate pair, as JavaScript can send, is no text to a tokeniser
            return text.encode("utf-8", "replace").decode("utf-8")
        if kind in PICTURE_KINDS and text is None and (source := _find_source(part, pictures)) is not None:
            _check_names(part, ("type", *PICTURE_KEYS, *PART_NOTES), number)
            return Picture(source)
    raise PromptError(
        "Message {number} has a part that is neither text nor an image: {part}; "
        'write {{"type": "text", "text": ...}} or {{"type": "image", "image": ...}}.',
        number=number + 1,
        part=describe(part),
    )


def _find_source(part: dict[str, Any], given: list[str]) -> Any:
    """What the one key that has a value says; `OPEN` without any key, None where it cannot be said."""
    if not given:
        return OPEN if not any(key in part for key in PICTURE_KEYS) else None
    if sorted(given) == ["bytes", "path"]:  # as datasets keeps a picture that it read
        given = ["bytes"]
    if len(given) > 1:
        return None
    value = part[given[0]]
    if is_mapping(value):
        inner = [key for key in PICTURE_KEYS if value.get(key) is not None]
        return _find_source(value, inner) if inner else None
    if given[0] == "base64" and isinstance(value, str) and not value.startswith("data:"):
        return f"data:image/*;base64,{value}"
    return value


def _open_places(text: str) -> list[Part]:
    first, *others = text.split(IMAGE_TOKEN)
    parts: list[Part] = [first] if first or not others else []
    for other in others:
        parts += [Picture(OPEN), other] if other else [Picture(OPEN)]
    return parts


def _read_beside(message: Message) -> list[Any]:
    beside: list[Any] = []
    for name in ("images", "image"):
        value = message.get(name)
        if not _is_nothing(value):
            beside += value if is_several(value) else [value]
    return beside


def _fill(parts: list[Part], beside: list[Any], number: int) -> list[Part]:
    if not beside:
        return parts
    places = sum(isinstance(part, Picture) and part.source is OPEN for part in parts)
    if places != len(beside):
        raise PromptError(
            "Message {number} has {places} <image> for {images} pictures beside its content; write one for each.",
            number=number + 1,
            places=places,
            images=len(beside),
        )
    remaining = iter(beside)
    return [Picture(next(remaining)) if isinstance(part, Picture) and part.source is OPEN else part for part in parts]


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def _strip(parts: list[Part]) -> list[Part]:
    while parts and isinstance(parts[0], str) and not parts[0].lstrip():
        parts = parts[1:]
    if parts and isinstance(parts[0], str):
        parts = [parts[0].lstrip(), *parts[1:]]
    while parts and isinstance(parts[-1], str) and not parts[-1].rstrip():
        parts = parts[:-1]
    if parts and isinstance(parts[-1], str):
        parts = [*parts[:-1], parts[-1].rstrip()]
    return parts
