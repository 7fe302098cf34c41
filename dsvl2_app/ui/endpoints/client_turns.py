"""Turns as chat clients write them -> messages whose pictures are files of this server. No file is opened here.

Gradio 6 sends {"type": "file", "file": upload} and {"type": "text", ...} as parts, Gradio 5 an upload, {"file": upload}
or {"component": "image", "value": upload} as content; OpenAI's clients send {"type": "image_url", "image_url": {"url":
...}} and {"type": "input_image", "image_url": ...}. Pictures may stand beside the content, too, as "files", "images" or
"image" of the turn: they go where it has `<image>` or a part {"type": "image"} alone, and else first. What is none of
this is left to `text.messages`, which refuses it in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.messages import PICTURE_KINDS, Message
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.gradio_quirks import is_upload
from dsvl2_app.ui.uploads import BESIDE, list_beside, measure, uploaded_path

KEYS = ("image", "image_url", "url", "base64", "file", "file_data", "value")
KINDS = (*PICTURE_KINDS, "file", "input_file", "component")


def read_history(history: Any) -> list[Message]:
    if not isinstance(history, list) or not all(isinstance(message, dict) for message in history):
        raise PromptError('The history must be a list of {"role": ..., "content": ...}.')
    return [read_turn(message) for message in history]


def read_turn(turn: dict[str, Any]) -> Message:
    content, beside = turn.get("content"), [uploaded_path(file) for file in list_beside(turn)]
    message = {name: value for name, value in turn.items() if name not in BESIDE}
    if isinstance(content, str):
        return {**message, "content": place_images(content, beside) if beside else content}
    if content is None and not beside:
        return message
    waiting, parts = iter(beside), []
    for part in content if isinstance(content, list) else [] if content is None else [content]:
        parts.append(_as_picture(part, waiting) if _is_picture(part) else part)
    return {**message, "content": [*place_images("", list(waiting)), *parts]}


def pictures_of(messages: list[Message]) -> Iterator[dict[str, Any]]:
    """The parts that are pictures."""
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from (part for part in message["content"] if isinstance(part, dict) and part.get("type") == "image")


def measure_pictures(messages: list[Message], limits: Limits) -> list[Message]:
    """The same messages, with references in place of the pictures' files."""
    for part in pictures_of(messages):
        if not isinstance(part["image"], ImageRef):
            part["image"] = measure(part["image"], limits)
    return messages


def _is_picture(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return kind in KINDS or is_upload(part) or (kind is None and ("file" in part or "component" in part))


def _as_picture(part: dict[str, Any], waiting: Iterator[str]) -> dict[str, Any]:
    named = _find_file(part)
    return {"type": "image", "image": next(waiting, None) or uploaded_path(None) if named is None else named}


def _find_file(part: dict[str, Any]) -> str | None:
    """The file of the picture that a part names; a path that is no upload's names none."""
    if is_upload(part):
        return uploaded_path(part)
    for key in KEYS:
        value = part.get(key)
        if isinstance(value, dict) and not is_upload(value):
            return _find_file(value) or uploaded_path(value)
        if value is not None:
            is_letters = key == "base64" and isinstance(value, str) and not value.startswith("data:")
            return uploaded_path(f"data:image/png;base64,{value}" if is_letters else value)
    return uploaded_path(part["path"]) if is_upload(part.get("path")) else None
