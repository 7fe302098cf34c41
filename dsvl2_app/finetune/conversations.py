"""A file of conversations -> batches with labels, for fine-tuning.

A file is JSON Lines, one conversation each, or one JSON array of them; `layouts` says what a conversation may look
like. Errors name the line or, in an array, the number that they come from.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import BatchFeature

from dsvl2_app.errors import AppError, PromptError, SettingsError
from dsvl2_app.finetune.layouts import read_example
from dsvl2_app.image.load import load_image
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.text.messages import ROLES, Message
from dsvl2_app.text.processor import DeepseekVL2Processor

IGNORED = -100  # a label without loss


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` name their images by whole paths, or hold what is in their files; `place` says where they were
    written."""

    messages: list[Message]
    place: str


def read_conversations(
    path: Path, pictures: Path | None = None, refused: list[AppError] | None = None
) -> list[Conversation]:
    """Every conversation of a file, checked as far as that goes without decoding images.

    Paths of images are seen from `pictures`, or else from the file's own folder. What cannot be used is raised, or put
    into `refused` where that is given; columns that nothing is read from are named on stderr.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # which makes every end of a line a line feed
    except (OSError, ValueError) as error:
        raise SettingsError(f"--data {path} cannot be read as text ({error}); give a file of JSON lines.") from error
    conversations, found, ignored = [], 0, Counter[str]()
    for found, (place, value) in enumerate(_split(text, path.name), start=1):  # noqa: B007 - counted
        try:
            if isinstance(value, ValueError):
                raise PromptError(f"this is no JSON ({value}); write one conversation on each line.")
            messages, columns = read_example(value, pictures or path.parent)
        except AppError as error:
            _refuse(error, place, refused)
        else:
            ignored.update(columns)
            conversations.append(Conversation(messages, place))
    if not found:
        raise SettingsError(f"--data {path} holds no conversation; write one on each line.")
    for column, lines in ignored.items():
        print(f"{path.name}: nothing is learnt from the column {column!r} ({lines} lines have it).", file=sys.stderr)
    return conversations


def _split(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """Each conversation's place and its JSON, or the error of what is none. Lines end at line feeds alone:
    other separators of Unicode may stand in the strings of JSON."""
    whole = _parse(text)
    first = whole[0] if isinstance(whole, list) and whole else None
    if isinstance(first, list) or (isinstance(first, dict) and not {"role", "from"} & set(first)):
        yield from ((f"{name}, number {number}", value) for number, value in enumerate(whole, start=1))
    elif isinstance(whole, dict):
        yield f"{name}, line 1", whole
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"{name}, line {number}", _parse(line)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        return error


def _refuse(error: AppError, place: str, refused: list[AppError] | None) -> None:
    placed = type(error)("{place}: {error}", place=place, error=str(error))
    if refused is None:
        raise placed from error
    refused.append(placed)


def check(
    conversations: Sequence[Conversation],
    processor: DeepseekVL2Processor,
    context: int,
    refused: list[AppError] | None = None,
) -> Iterator[Conversation | None]:
    """Open every image and count every token: each conversation that can be learnt, and None for one that cannot,
    which is refused as in `read_conversations`."""
    for conversation in conversations:
        try:
            _label(conversation, processor, context)
        except AppError as error:
            _refuse(error, conversation.place, refused)
            yield None
        else:
            yield conversation


def collate(several: Sequence[Conversation], processor: DeepseekVL2Processor, context: int) -> BatchFeature:
    """Model inputs, padded on the left, with labels for what the assistant says."""
    loaded, labels = [], []
    for conversation in several:
        try:
            messages, answers = _label(conversation, processor, context)
        except AppError as error:
            _refuse(error, conversation.place, None)
        loaded.append(messages)
        labels.append(answers)
    inputs = processor.apply_chat_template(loaded, tokenize=True, return_dict=True, return_tensors="pt")
    assert isinstance(inputs, BatchFeature)
    inputs["labels"] = torch.full_like(inputs["input_ids"], IGNORED)
    for row, answers in enumerate(labels):
        inputs["labels"][row, -len(answers) :] = torch.tensor(answers)
    return inputs


def _label(
    conversation: Conversation, processor: DeepseekVL2Processor, context: int
) -> tuple[list[Message], list[int]]:
    """The conversation with its images decoded, and its labels."""
    messages = load_images(conversation)
    labels = label_answers(processor, messages)
    if len(labels) > context:
        raise PromptError(
            f"the conversation has {len(labels)} tokens and the model holds {context}; "
            "shorten it, or show fewer or squarer pictures."
        )
    return messages, labels


def load_images(conversation: Conversation) -> list[Message]:
    """The messages with their images decoded. Raises an ImageError that does not say where it comes from."""
    return [
        message
        if isinstance(message["content"], str)
        else message | {"content": [_load(part) for part in message["content"]]}
        for message in conversation.messages
    ]


def _load(part: dict[str, Any]) -> dict[str, Any]:
    return part if part["type"] == "text" else {"type": "image", "image": load_image(part["image"])}


def label_answers(processor: DeepseekVL2Processor, messages: list[Message]) -> list[int]:
    """The conversation's ids where the assistant speaks, its end tokens included, IGNORED elsewhere."""
    whole = processor.build(messages, add_generation_prompt=False)
    tiling = are_tiled(len(whole.images))  # of the whole conversation, in its beginnings too
    labels = [IGNORED] * len(whole.input_ids)
    for number, message in enumerate(messages):
        if ROLES[message["role"]] == "assistant":
            start = len(processor.build(messages[:number], tiling=tiling).input_ids)
            end = len(processor.build(messages[: number + 1], tiling=tiling, add_generation_prompt=False).input_ids)
            labels[start:end] = whole.input_ids[start:end]
    return labels
