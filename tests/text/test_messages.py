"""Messages in every spelling give the same inputs, and nothing in one is dropped in silence."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.errors import PromptError
from dsvl2_app.text.messages import OPEN, Picture, read_message


@pytest.fixture(scope="module")
def processor(load_processor: Callable[[str], DeepseekVL2Processor]) -> DeepseekVL2Processor:
    return load_processor("tiny")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((500, 300)).convert("RGB")


@pytest.fixture(scope="module")
def data(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def tokenise(processor: DeepseekVL2Processor, *messages: dict[str, Any], **options: Any) -> Any:
    return processor.apply_chat_template(list(messages), tokenize=True, return_dict=True, **options)


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_parts_name_their_picture_in_many_ways(
    processor: DeepseekVL2Processor, picture: Image.Image, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(data)
    file, letters = str(tmp_path / "one.png"), base64.b64encode(data).decode()
    address = f"data:image/png;base64,{letters}"
    right = tokenise(processor, user([{"type": "image", "image": picture}]))
    for part in (
        {"type": "image", "path": file},
        {"type": "image", "path": tmp_path / "one.png"},
        {"type": "image", "url": file},
        {"type": "image", "url": address},
        {"type": "image", "base64": letters},
        {"type": "image", "base64": address},
        {"type": "image", "bytes": data},
        {"type": "image", "image": file},
        {"type": "image", "image": address},
        {"type": "image", "image": {"bytes": data, "path": "elsewhere.png"}},  # as datasets keeps a picture
        {"type": "image", "image": None, "path": file, "text": None},
        {"type": "image_url", "image_url": {"url": address, "detail": "high"}},
        {"type": "image_url", "image_url": address},
        {"type": "input_image", "image_url": address},
    ):
        assert equal(tokenise(processor, user([part])), right), list(part)


def test_official_turns(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    image, text = {"type": "image", "image": picture}, {"type": "text", "text": " and\n"}
    right = tokenise(processor, user([image, text, image]), add_generation_prompt=True)
    turns = [
        {"role": "<|User|>", "content": "<image> and\n<image>", "images": [picture, picture]},
        {"role": "<|Assistant|>", "content": ""},
    ]
    assert equal(tokenise(processor, *turns), right)
    placed = user([{"type": "image"}, text, {"type": "image"}], images=(picture, picture))
    assert equal(tokenise(processor, placed, add_generation_prompt=True), right)
    one = tokenise(processor, user([image]))
    assert equal(tokenise(processor, user("<image>", image=picture)), one)
    assert turns[0]["content"] == "<image> and\n<image>"  # what is given stays as it is


def test_places_are_filled_later(processor: DeepseekVL2Processor, picture: Image.Image) -> None:
    small = picture.resize((90, 60))
    images = [{"type": "image", "image": picture}, {"type": "image", "image": small}]
    talk = [user([{"type": "image"}, {"type": "text", "text": " or "}, {"type": "image", "text": None}])]
    right = tokenise(processor, user([images[0], {"type": "text", "text": " or "}, images[1]]))
    text = processor.apply_chat_template(talk)
    assert text.count("<image>") == 2
    assert equal(processor(text=text, images=[picture, small]), right)
    assert equal(tokenise(processor, *talk, images=[picture, small]), right)
    assert equal(tokenise(processor, *talk, processor_kwargs={"images": [picture, small]}), right)
    batch = [talk, [user("Hi")]]
    both = processor.apply_chat_template(
        batch, tokenize=True, return_dict=True, images=[[picture, small], None], add_generation_prompt=True
    )
    texts = processor.apply_chat_template(batch, add_generation_prompt=True)
    assert equal(processor(text=texts, images=[[picture, small], None]), both)


def test_a_place_without_a_picture_is_refused_alike_at_both_entrances(
    processor: DeepseekVL2Processor, picture: Image.Image
) -> None:
    typed = "What does <image> mean in HTML?"
    image = {"type": "image", "image": picture}
    for refuse in (
        lambda: tokenise(processor, user(typed)),
        lambda: processor(text=processor.apply_chat_template([user(typed)])),
        lambda: tokenise(processor, user([{"type": "image"}])),
        lambda: tokenise(processor, user([image, {"type": "text", "text": typed}])),
        lambda: tokenise(processor, user(typed), images=[picture, picture]),
    ):
        with pytest.raises(PromptError, match=r"has 1 <image> tokens for [02] images; write one for each image"):
            refuse()
    for message in ({"role": "assistant", "content": typed}, {"role": "system", "content": typed}):
        talk = [message, user("Hi")] if message["role"] == "system" else [user("Hi"), message]
        for tokenize in (False, True):
            with pytest.raises(PromptError, match="holds an image; only users can show images"):
                processor.apply_chat_template(talk, tokenize=tokenize)
    assert processor.image_token_id not in processor.build([user(typed)], allow=frozenset()).input_ids


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (user("Hi", images=["x"]), "Message 1 has 0 <image> for 1 pictures beside its content"),
        (user("<image><image>", images=["x"]), "Message 1 has 2 <image> for 1 pictures"),
        (user([{"type": "image", "image": "x"}], image="y"), "Message 1 has 0 <image> for 1 pictures"),
        (user("Hi", files=["x"]), "Message 1 has 'files', which is not understood"),
        (user("Hi", tool_calls=[{}]), "Message 1 has 'tool_calls', which is not understood"),
        (user([{"type": "text", "text": "a", "image": "x"}]), "neither text nor an image"),
        (user([{"type": "image", "image": "x", "text": "a"}]), "neither text nor an image"),
        (user([{"type": "image", "image": "x", "path": "y"}]), "neither text nor an image"),
        (user([{"type": "image", "image": {}}]), "neither text nor an image"),
        (
            user([{"type": "image", "image": "x", "max_pixels": 9}]),
            "Message 1 has 'max_pixels', which is not understood",
        ),
        (user([{"type": "image_url", "image_url": {}}]), "neither text nor an image"),
    ],
)
def test_nothing_is_dropped(message: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        read_message(message, 0)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "kontent": "A" * 9000},
        user([{"type": "video", "video": "/srv/secret/" + "A" * 9000}]),
        user(["/srv/secret/" + "A" * 9000]),
        user([{"type": "A" * 9000}]),
        user([{"A" * 9000: 1}]),
        user("Hi", **{"A" * 9000: 1}),
    ],
)
def test_a_refusal_shows_no_payload_and_no_path(message: dict[str, Any]) -> None:
    with pytest.raises(PromptError) as refusal:
        read_message(message, 0)
    assert len(str(refusal.value)) < 250 and "secret" not in str(refusal.value)


def test_what_is_nothing_counts_as_absent() -> None:
    notes = {"images": [], "image": None, "tool_calls": None, "metadata": {"title": "a"}, "name": "b"}
    assert read_message(user("Hi", **notes), 0) == ("user", ["Hi"])
    assert read_message(user([{"type": "text", "text": "Hi", "image": None, "annotations": []}]), 0) == ("user", ["Hi"])
    assert read_message(user("a<image>"), 0) == ("user", ["a", Picture(OPEN)])
    assert read_message(user("a<image>"), 0, trusted=False) == ("user", ["a<image>"])
