"""/chat's history and message in the spellings of Gradio's chatbots and of OpenAI's clients."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.text.prompt import compose
from dsvl2_app.ui.endpoints import client_turns
from dsvl2_app.ui.endpoints.chat import ChatEndpoint
from dsvl2_app.ui.uploads import read_message, save_upload
from tests.ui.conftest import CARD

WORDS = {"type": "text", "text": "Hi"}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "secret name.png")
    return tmp_path / "secret name.png"


@pytest.fixture
def upload(picture: Path) -> dict[str, Any]:
    return {"path": save_upload(picture.read_bytes(), picture.name), "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def address(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def read(*turns: dict[str, Any]) -> list[dict[str, Any]]:
    return ChatEndpoint(None, Limits()).read_history(list(turns))  # type: ignore[arg-type] - runs no model


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def show(messages: list[dict[str, Any]]) -> str:
    """The prompt, a picture as its width."""
    pieces, images = compose(messages, answer_next=False, trusted=False)
    shown = ["".join(text.content for text in piece) if isinstance(piece, list) else "" for piece in pieces[1:]]
    for image in images:
        shown[shown.index("")] = f"[{image.size[0]}]"
    return "".join(shown).removeprefix("<|User|>: ").strip()


@pytest.mark.parametrize(
    "form",
    [
        lambda upload, address: {"type": "file", "file": upload},
        lambda upload, address: {"type": "image", "image": upload},
        lambda upload, address: {"type": "image", "path": upload},
        lambda upload, address: upload,
        lambda upload, address: {"file": upload, "alt_text": None},
        lambda upload, address: {"component": "image", "value": upload, "props": {}},
        lambda upload, address: {"type": "image", "url": address},
        lambda upload, address: {"type": "image", "base64": address.partition(",")[2]},
        lambda upload, address: {"type": "image_url", "image_url": {"url": address, "detail": "auto"}},
        lambda upload, address: {"type": "image_url", "image_url": address},
        lambda upload, address: {"type": "input_image", "image_url": address},
        lambda upload, address: {"type": "input_file", "file_data": address},
    ],
)
def test_parts_of_every_client(upload: dict[str, Any], address: str, form: Any) -> None:
    part = form(upload, address)
    assert show(read(user([part, WORDS]))) == "[90]Hi"
    assert show(read(user(part))) == "[90]"


def test_text_of_every_client() -> None:
    said = [user([{"type": "input_text", "text": "Hi"}], metadata={"title": None}, options=None)]
    answer = {"role": "assistant", "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}
    texts = [text.content for piece in compose(read(*said, answer))[0] if isinstance(piece, list) for text in piece]
    assert texts == ["<|User|>: ", "Hi", "\n\n<|Assistant|>:", "Hello."]


@pytest.mark.parametrize("name", ["files", "images", "image"])
def test_pictures_beside_the_content_are_placed(upload: dict[str, Any], address: str, name: str) -> None:
    beside = upload if name == "image" else [upload]
    assert show(read(user("What?", **{name: beside}))) == "[90]\nWhat?"
    assert show(read(user("In <image>?", **{name: beside}))) == "In [90]?"
    assert show(read(user([WORDS, {"type": "image"}], **{name: beside}))) == "Hi[90]"
    assert show(read(user([WORDS], **{name: beside}))) == "[90]\nHi"
    assert show(read(user(None, **{name: beside}))) == "[90]"
    assert read_message({"text": "What?", name: beside}) == ("What?", [upload["path"]])


def test_a_message_may_be_a_turn(upload: dict[str, Any]) -> None:
    asked = ChatEndpoint(None, Limits()).read_message(user([{"type": "file", "file": upload}, WORDS]))  # type: ignore[arg-type]
    assert asked["content"] == [{"type": "image", "image": upload["path"]}, WORDS]
    with pytest.raises(PromptError, match="not a user's"):
        ChatEndpoint(None, Limits()).read_message({"role": "assistant", "content": "Hi"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turn", "sentence"),
    [
        (user([{"type": "image"}]), "There is no picture"),
        (user([{"type": "image", "path": "/etc/passwd"}]), "There is no picture"),
        (user([{"type": "image", "url": "/etc/passwd"}]), "must be an uploaded file"),
        (user([{"type": "image", "url": "file:///etc/passwd"}]), "must be an uploaded file"),
        (
            user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,no"}}]),
            "damaged|not a|fetched",
        ),
        (user("Hi", images=["/etc/passwd"]), "must be an uploaded file"),
        (user("Hi", videos=["a.mp4"]), "Message 1 has 'videos', which is not understood"),
        (
            user([{"type": "video", "video": "/srv/a.mp4"}]),
            "neither text nor an image: {'type': 'video', ",
        ),
        (user(["/srv/a.png", "a"]), "neither text nor an image: a str"),
        ({"role": "assistant", "content": "Here.", "files": []} | {"role": "tool"}, "Message 1 needs a role"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(turn: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ImageError, PromptError), match=sentence) as refusal:
        compose(read(turn))
    assert "/srv" not in str(refusal.value) and "/etc" not in str(refusal.value)


def test_a_picture_in_an_answer_is_refused(upload: dict[str, Any]) -> None:
    answer = {"role": "assistant", "content": [{"type": "file", "file": upload}]}
    with pytest.raises(PromptError, match="Message 2 is the assistant's and holds an image"):
        compose(read(user("Hi"), answer))


@pytest.mark.parametrize("message", [{"text": "Hi", "videos": ["a"]}, {"text": "Hi", "file": {"path": "a"}}])
def test_a_message_with_something_else_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(PromptError, match="text first, then a list of pictures"):
        read_message(message)


# -- over HTTP ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_chat_takes_the_forms_of_clients(scripted, pictures):
    image = {name: handle_file(pictures[name]) for name in ("wide", "tall", "turned")}
    data = "data:image/png;base64," + base64.b64encode(pictures["tall"].read_bytes()).decode()
    scripted.client().predict(
        {"text": "And <image>?", "images": [image["wide"]]},
        history=[
            user([{"type": "file", "file": image["turned"]}, WORDS]),
            {"role": "assistant", "content": "Hello.", "metadata": None},
            user([{"type": "image_url", "image_url": {"url": data}}]),
            {"role": "assistant", "content": "Tall."},
        ],
        api_name="/chat",
    )
    (request,) = scripted.script.requests
    sizes = [[part["image"].size for part in client_turns.pictures_of([message])] for message in request.messages]
    assert sizes == [[(400, 1000)], [], [(300, 500)], [], [(1000, 400)]]


@pytest.mark.slow
def test_too_many_pictures_are_refused_before_one_is_measured(scripted, pictures, monkeypatch):
    each = 421  # tokens of a single tile
    monkeypatch.setattr(client_turns, "measure", None)
    files = [handle_file(pictures["wide"])] * (CARD.context // each + 1)
    with pytest.raises(AppError, match=f"{len(files)} pictures of at least {each} tokens each"):
        scripted.client().predict({"text": "Hi", "files": files}, api_name="/chat")
    assert scripted.script.requests == []
