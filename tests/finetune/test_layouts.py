"""The layouts of other trainers' documentation, each with the messages that it means."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import AppError, ImageError, PromptError
from dsvl2_app.finetune.layouts import read_example

SIZE = (200, 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", SIZE, "teal").save(tmp_path / name)
    return tmp_path


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def bot(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def spell(messages: list[dict[str, Any]]) -> list[str]:
    """Messages as "role: text", with (name) in place of each picture."""
    spelt = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        spelt.append(
            message["role"]
            + ": "
            + "".join(part["text"] if "text" in part else f"({part['image'].name})" for part in parts)
        )
    return spelt


LLAVA = [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": "Teal."}]
PARTS = [{"type": "image"}, {"type": "text", "text": "Which?"}]
ASKED = ["user: (a.png)Which?", "assistant: Teal."]
LINED = ["user: (a.png)\nWhich?", "assistant: Teal."]
LAYOUTS: dict[str, tuple[Any, list[str]]] = {
    "ours": ([user([{"type": "image", "path": "a.png"}, PARTS[1]]), bot("Teal.")], ASKED),
    "padded as tables do": (
        [
            user([{"type": "image", "path": "a.png", "image": None, "text": None}, {**PARTS[1], "path": None}]),
            bot([{"type": "text", "text": "Teal."}]),
        ],
        ASKED,
    ),
    "image_url": ([user([{"type": "image_url", "image_url": {"url": "a.png"}}, PARTS[1]]), bot("Teal.")], ASKED),
    "LLaVA": ({"image": "a.png", "conversations": LLAVA}, LINED),
    "LLaMA-Factory": ({"messages": [user("<image>Which?"), bot("Teal.")], "images": ["a.png"]}, ASKED),
    "ShareGPT with a system prompt": (
        {"conversations": LLAVA, "system": "Be brief.", "images": ["a.png"], "tools": "", "videos": []},
        ["system: Be brief.", *LINED],
    ),
    "Alpaca": (
        {"instruction": "<image>Which?", "input": "Say one word.", "output": "Teal.", "images": ["a.png"]},
        ["user: (a.png)Which?\nSay one word.", "assistant: Teal."],
    ),
    "ms-swift, query and response": (
        {"query": "And here?<image>", "response": "Sky.", "history": [["<image>Which?", "Teal."]],
         "images": ["a.png", "b.png"]},
        [*ASKED, "user: And here?(b.png)", "assistant: Sky."],
    ),
    "ms-swift, pairs": (
        {"system": "Be brief.", "conversation": [{"human": "<image>Which?", "assistant": "Teal."}], "images": "a.png"},
        ["system: Be brief.", *ASKED],
    ),
    "TRL, messages": (
        {"messages": [user(PARTS), bot([{"type": "text", "text": "Teal."}])], "images": ["a.png"]},
        ASKED,
    ),
    "TRL, prompt and completion": (
        {"prompt": [user(PARTS)], "completion": [bot("Teal.")], "images": [{"path": "a.png", "bytes": None}]},
        ASKED,
    ),
    "TRL, text without a place": (
        {"prompt": [user("Which?")], "completion": [bot("Teal.")], "image": "a.png"},
        LINED,
    ),
    "DeepSeek-VL2": (
        [
            {"role": "<|User|>", "content": "One: <image>, two: <image>.", "images": ["a.png", "./b.png"]},
            {"role": "<|Assistant|>", "content": "Teal."},
        ],
        ["user: One: (a.png), two: (b.png).", "assistant: Teal."],
    ),
    "assistant first": ([bot("Welcome."), user("Hi"), bot("Yes?")],
                        ["user: ", "assistant: Welcome.", "user: Hi", "assistant: Yes?"]),
    "assistant alone": ({"messages": [bot("I love music")]}, ["user: ", "assistant: I love music"]),
    "nothing asked": ([user(None), bot("Yes?")], ["user: ", "assistant: Yes?"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_means_the_same_messages(folder: Path, name: str):
    example, expected = LAYOUTS[name]
    messages, ignored = read_example(example, folder)
    assert spell(messages) == expected and not ignored


def test_bytes_of_a_picture_may_stand_in_the_line(folder: Path):
    stream = BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode()
    for source in (
        {"url": f"data:image/png;base64,{text}"},
        {"base64": text},
        {"image": f"data:image/png;base64,{text}"},
    ):
        messages, _ = read_example([user([{"type": "image", **source}]), bot("Black.")], folder)
        assert messages[0]["content"] == [{"type": "image", "image": stream.getvalue()}]


def test_columns_that_nothing_is_read_from_are_named(folder: Path):
    _, ignored = read_example({"id": 7, "source": "web", "note": None, "messages": [user("a"), bot("b")]}, folder)
    assert ignored == {"id", "source"}


TALK = [user("a"), bot("b")]


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ("text", "there are no messages"),
        ({"messages": TALK, "conversations": LLAVA}, "'messages' and 'conversations' both hold"),
        ({"messages": TALK, "images": ["a.png"], "image": "a.png"}, "'images' and 'image' both hold"),
        ({"messages": TALK, "videos": ["a.mp4"]}, "'videos' holds videos; the model sees pictures alone"),
        ({"messages": TALK, "tools": "[...]"}, "'tools' holds tools"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preferences, not answers"),
        ({"messages": TALK, "label": False}, "judgements"),
        ({"prompt": [user("a")]}, "'prompt' has no 'completion' beside it"),
        ({"query": "a", "response": "b", "history": ["c"]}, "list of pairs"),
        ({"messages": [user("<image> or <image>?"), bot("b")], "images": ["a.png"]}, "2 <image> and 1 pictures"),
        ([user("What does <image> mean in HTML?"), bot("b")], "1 <image> and 0 pictures"),
        ([user("a"), bot("<image>")], "1 <image> and 0 pictures"),
        ({"messages": [user("a"), bot("<image>")], "images": ["a.png"]}, "only users can show images"),
        ({"messages": [user(PARTS), bot("b")]}, "1 <image> and 0 pictures"),
        ([user("<image>", images=["a.png", "b.png"]), bot("b")], "message 1 has 1 <image> and 2 pictures"),
        ([user("a"), bot(None), user("c"), bot("d")], "Message 2 is an answer without words"),
        ([user("a"), bot(" \n")], "Message 2 is an answer without words"),
        ([user("a"), user("b"), bot("c")], "Messages 1 and 2 have the same role"),
        ([user("a"), {"role": "system", "content": "b"}, bot("c")], "only the first message can be one"),
        ({"system": "a", "messages": [{"role": "system", "content": "b"}, *TALK]}, "two system prompts"),
        ({"system": ["a"], "messages": TALK}, "'system' must be text"),
        ([user("a"), {"role": "tool", "content": "b"}], "Message 2 needs a role"),
        ([user("a"), {**bot("b"), "tool_calls": [1]}], "Message 2 has 'tool_calls', which cannot be learnt"),
        ([user({"type": "video", "path": "a.mp4"}), bot("b")], "neither text nor an image"),
        ([user([{"type": "text", "text": None}]), bot("b")], "neither text nor an image"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_by_name(folder: Path, example: Any, sentence: str):
    with pytest.raises(PromptError, match=sentence):
        read_example(example, folder)


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        ({"path": "none.png"}, "there is no image .*none.png"),
        ({"path": 7}, "named by its path, not '7'"),
        ({"url": "https://example.org/a.png"}, "nothing is downloaded"),
        ({"base64": "?"}, "no base64"),
    ],
)
def test_pictures_that_cannot_be_found_are_refused(folder: Path, picture: dict[str, Any], sentence: str):
    with pytest.raises(ImageError, match=sentence):
        read_example([user([{"type": "image", **picture}]), bot("b")], folder)


# ---- ms-swift's objects --------------------------------------------------------------------------------------


def ground(question: str, answer: str, **objects: Any) -> dict[str, Any]:
    return {"messages": [user(f"<image>{question}"), bot(answer)], "images": ["a.png"], "objects": objects}


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (  # two boxes of 200 x 100 px: 999 is the whole side
            ground("Describe.", "<ref-object><bbox> and <ref-object><bbox> play", ref=["a dog", "a woman"],
                   bbox=[[0, 0, 100, 50], [50.0, 25, 200, 100]]),
            ["Describe.", "<|ref|>a dog<|/ref|><|det|>[[0, 0, 500, 500]]<|/det|> and "
             "<|ref|>a woman<|/ref|><|det|>[[250, 250, 999, 999]]<|/det|> play"],
        ),
        (
            ground("Find <ref-object>.", "<bbox><bbox>", ref=["sheep"], bbox=[[0, 0, 20, 10], [180, 90, 200, 100]]),
            ["Find <|ref|>sheep<|/ref|>.", "<|det|>[[0, 0, 100, 100], [899, 899, 999, 999]]<|/det|>"],
        ),
        (
            ground("<|ref|><ref-object><|/ref|>", "<|det|><bbox><|/det|>", ref=["sheep"], bbox_type="norm1",
                   bbox=[[0.1, 0.2, 0.5, 1]]),
            ["<|ref|>sheep<|/ref|>", "<|det|>[[100, 200, 500, 999]]<|/det|>"],
        ),
    ],
)  # fmt: skip
def test_objects_are_written_as_the_model_writes_boxes(folder: Path, example: Any, expected: list[str]):
    messages, ignored = read_example(example, folder)
    assert [messages[0]["content"][1]["text"], messages[1]["content"]] == expected and not ignored


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        (ground("a", "<bbox>", bbox=[]), "1 <bbox> for 0"),
        (ground("a", "b", ref=["c"]), "0 <ref-object> for 1"),
        (ground("a", "<bbox>", bbox=[[1, 2]]), "has 2 numbers"),
        (ground("a", "<bbox>", bbox=[[0, 0, 300, 50]]), "outside of its picture of 200 x 100"),
        (ground("a", "<bbox>", bbox=[[0, 0, 20, 50]], image_id=[1]), "give it numbers and a picture"),
        (ground("a", "<bbox>", bbox=[["x", 0, 20, 50]]), "give it numbers and a picture"),
        (ground("a", "<bbox>", bbox=[[0, 0, 20, 50]], bbox_type="norm1000"), "'bbox_type' is 'norm1000'"),
        (ground("a", "<bbox>", caption=["c"]), "'objects' must be"),
    ],
)
def test_objects_that_do_not_fit_the_text_are_refused(folder: Path, example: Any, sentence: str):
    with pytest.raises(AppError, match=sentence):
        read_example(example, folder)
