"""JSON lines -> batches of conversations with labels, for fine-tuning.

A line is {"messages": [...]} or the list alone, as transformers writes conversations; images are parts
{"type": "image", "path": "photo.jpg"}, seen from the file's own folder. Errors name the line that they come from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BatchFeature

from dsvl2_app.errors import AppError, ImageError, PromptError, SettingsError
from dsvl2_app.image.load import load_image
from dsvl2_app.text.processor import MOST_TILED_IMAGES, DeepseekVL2Processor
from dsvl2_app.text.prompt import ROLES, Message, compose

IGNORED = -100  # a label without loss


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` name their images by whole paths; `place` says where they were written."""

    messages: list[Message]
    place: str


def read_conversations(path: Path) -> list[Conversation]:
    """Every line, checked as far as that goes without decoding images. Raises an error that names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SettingsError(f"--data {path} cannot be read as text ({error}); give a file of JSON lines.") from error
    conversations = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path.name}, line {number}"
            conversations.append(Conversation(_read_messages(line, place, path.parent), place))
    if not conversations:
        raise SettingsError(f"--data {path} holds no conversation; write one on each line.")
    return conversations


def _read_messages(line: str, place: str, folder: Path) -> list[Message]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise PromptError(f"{place}: this is no JSON ({error}); write one conversation on each line.") from error
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list):
        raise PromptError(f'{place}: there are no messages; write {{"messages": [...]}}.')
    try:
        compose(messages, answer_next=False)
    except PromptError as error:
        raise PromptError(f"{place}: {error}") from error
    if ROLES[messages[-1]["role"]] != "assistant" or not messages[-1]["content"]:
        raise PromptError(f"{place}: the last message is no answer; end with one of the assistant's.")
    return [message | {"content": _find_images(message["content"], place, folder)} for message in messages]


def _find_images(content: Any, place: str, folder: Path) -> Any:
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if part["type"] == "image":
            path = folder / (part.get("image") or part["path"])
            if not path.is_file():
                raise ImageError(f"{place}: there is no image {path}; paths are seen from the data's own folder.")
            part = {"type": "image", "image": path}
        parts.append(part)
    return parts


def collate(several: Sequence[Conversation], processor: DeepseekVL2Processor, context: int) -> BatchFeature:
    """Model inputs, padded on the left, with labels for what the assistant says."""
    loaded = [_load_images(conversation) for conversation in several]
    inputs = processor.apply_chat_template(loaded, tokenize=True, return_dict=True, return_tensors="pt")
    inputs["labels"] = torch.full_like(inputs["input_ids"], IGNORED)
    for row, (messages, conversation) in enumerate(zip(loaded, several, strict=True)):
        labels = label_answers(processor, messages)
        if len(labels) > context:
            raise PromptError(
                f"{conversation.place}: the conversation has {len(labels)} tokens and the model holds {context}; "
                "shorten it, or show fewer or squarer pictures."
            )
        inputs["labels"][row, -len(labels) :] = torch.tensor(labels)
    return inputs


def _load_images(conversation: Conversation) -> list[Message]:
    def load(part: dict[str, Any]) -> dict[str, Any]:
        return part if part["type"] == "text" else {"type": "image", "image": load_image(part["image"])}

    try:
        return [
            message
            if isinstance(message["content"], str)
            else message | {"content": [load(part) for part in message["content"]]}
            for message in conversation.messages
        ]
    except AppError as error:
        raise type(error)(f"{conversation.place}: {error}") from error


def label_answers(processor: DeepseekVL2Processor, messages: list[Message]) -> list[int]:
    """The conversation's ids where the assistant speaks, its end tokens included, IGNORED elsewhere."""
    whole = processor.build(messages, add_generation_prompt=False)
    tiling = len(whole.images) <= MOST_TILED_IMAGES  # of the whole conversation, in its beginnings too
    labels = [IGNORED] * len(whole.input_ids)
    for number, message in enumerate(messages):
        if ROLES[message["role"]] == "assistant":
            start = len(processor.build(messages[:number], tiling=tiling).input_ids)
            end = len(processor.build(messages[: number + 1], tiling=tiling, add_generation_prompt=False).input_ids)
            labels[start:end] = whole.input_ids[start:end]
    return labels
