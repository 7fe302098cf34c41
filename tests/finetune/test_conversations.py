from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import AppError, ImageError, PromptError, SettingsError
from dsvl2_app.finetune.conversations import IGNORED, check, collate, read_conversations

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


ASKED = [{"role": "user", "content": "One\u2028two\u2029three\u0085four"}, *CHAT[1:]]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ASKED, ensure_ascii=False),
        "\ufeff" + json.dumps(ASKED, ensure_ascii=False) + "\r\n",
        json.dumps({"messages": ASKED}, ensure_ascii=False, indent=2),
        json.dumps([{"messages": ASKED}], ensure_ascii=False, indent=2),
        json.dumps([ASKED], ensure_ascii=False),
    ],
    ids=["line", "byte-order mark", "object", "array", "array of lists"],
)
def test_separators_of_unicode_and_whole_files_of_json_are_read(tmp_path: Path, text: str):
    (tmp_path / "data.json").write_bytes(text.encode())
    (conversation,) = read_conversations(tmp_path / "data.json")
    assert conversation.messages == ASKED


def test_lines_that_end_in_any_way_are_counted(tmp_path: Path):
    line = json.dumps(ASKED, ensure_ascii=False)
    (tmp_path / "data.jsonl").write_bytes(f"{line}\r\n\n{line}\r{line}\n".encode())
    places = [conversation.place for conversation in read_conversations(tmp_path / "data.jsonl")]
    assert places == [f"data.jsonl, line {number}" for number in (1, 3, 4)]


def test_places_in_an_array_are_numbers_and_pictures_may_lie_elsewhere(tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "pictures" / "a.png")
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"messages": CHAT}, {"messages": ask(PICTURE)}]), encoding="utf-8")
    with pytest.raises(ImageError, match=r"data.json, number 2: there is no image .*--images"):
        read_conversations(path)
    assert read_conversations(path, tmp_path / "pictures")[1].place == "data.json, number 2"


def test_all_that_cannot_be_learnt_is_collected(tmp_path: Path, load_processor: Callable[[str], Any]):
    Image.effect_noise((90, 60), 60).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    cut = ask({"type": "image", "path": "cut.png"})
    path = write(tmp_path, CHAT, "{", cut, ask(PICTURE), [CHAT[0], {"role": "assistant", "content": "word " * 5000}])
    refused: list[AppError] = []
    read = read_conversations(path, refused=refused)
    good = [each.place for each in check(read, load_processor("tiny"), 4096, refused) if each]
    assert good == ["data.jsonl, line 1", "data.jsonl, line 4"]
    assert [str(error)[:20] for error in refused] == [
        "data.jsonl, line 2: ",
        "data.jsonl, line 3: ",
        "data.jsonl, line 5: ",
    ]
    assert "damaged" in str(refused[1]) and "the model holds 4096" in str(refused[2])


def test_columns_without_a_reader_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    read_conversations(write(tmp_path, {"id": 1, "messages": CHAT}, {"id": 2, "messages": CHAT}))
    assert capsys.readouterr().err == "data.jsonl: nothing is learnt from the column 'id' (2 lines have it).\n"
