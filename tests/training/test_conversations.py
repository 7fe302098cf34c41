from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import AppError, ImageError, PromptError, SettingsError
from dsvl2_app.training.conversations import IGNORED, collate, read_conversations

CHAT = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A dog."}]
PICTURE = {"type": "image", "path": "a.png"}


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "data.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def ask(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": "Yes."}]


def test_both_forms_are_read_and_images_are_found_beside_the_file(tmp_path: Path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    path = write(tmp_path, {"messages": CHAT}, "", ask(PICTURE, {"type": "text", "text": "red?"}))
    first, second = read_conversations(path)
    assert first.messages == CHAT
    assert second.messages[0]["content"][0] == {"type": "image", "image": tmp_path / "a.png"}
    assert second.place == "data.jsonl, line 3"


@pytest.mark.parametrize(
    ("lines", "kind", "sentence"),
    [
        ([CHAT, "{not json"], PromptError, "line 2: this is no JSON"),
        ([{"text": "hello"}], PromptError, "line 1: there are no messages"),
        ([CHAT, CHAT, [{"role": "dog", "content": "x"}]], PromptError, "line 3: Message 1 needs a role"),
        ([CHAT[:1]], PromptError, "line 1: the last message is no answer"),
        ([[]], PromptError, "line 1: The conversation is empty"),
        ([ask(PICTURE)], ImageError, "line 1: there is no image .*a.png"),
        ([""], SettingsError, "holds no conversation"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, lines: list[Any], kind: type[AppError], sentence: str):
    with pytest.raises(kind, match=sentence):
        read_conversations(write(tmp_path, *lines))


def test_no_file_and_no_picture(tmp_path: Path, load_processor: Callable[[str], Any]):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_conversations(tmp_path / "none.jsonl")
    (tmp_path / "a.png").write_text("no picture")
    (conversation,) = read_conversations(write(tmp_path, ask(PICTURE)))
    with pytest.raises(ImageError, match="line 1: "):
        collate([conversation], load_processor("tiny"), 4096)


def test_only_what_the_assistant_says_is_learnt(tmp_path: Path, load_processor: Callable[[str], Any]):
    processor = load_processor("tiny")
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    long = [*CHAT, {"role": "user", "content": [PICTURE]}, {"role": "assistant", "content": "Now a cat."}]
    conversations = read_conversations(write(tmp_path, CHAT, long))
    batch = collate(conversations, processor, 4096)
    end = processor.tokenizer.eos_token
    said = [processor.decode(row[row != IGNORED].tolist()) for row in batch["labels"]]
    assert said == [f"A dog.{end}", f"A dog.{end}Now a cat.{end}"]
    kept = batch["labels"] != IGNORED
    assert (batch["labels"][kept] == batch["input_ids"][kept]).all()
    assert not (kept & ~batch["attention_mask"].bool()).any()


def test_a_conversation_longer_than_the_context_is_named(tmp_path: Path, load_processor: Callable[[str], Any]):
    conversations = read_conversations(write(tmp_path, CHAT))
    with pytest.raises(PromptError, match=r"line 1: the conversation has \d+ tokens and the model holds 5"):
        collate(conversations, load_processor("tiny"), 5)
