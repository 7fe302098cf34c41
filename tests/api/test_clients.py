"""Other programs' clients: LangChain's, and Gradio's own loader of chats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from PIL import Image

pytestmark = pytest.mark.slow


def chain(served, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=served.backend.card.name, base_url=f"{served.url}v1", api_key="any", max_retries=0, **options
    )


def test_langchain_asks_and_streams(trained) -> None:
    model = chain(trained, temperature=0, max_tokens=12, stream_usage=True)
    answer = model.invoke([HumanMessage("Hi")])
    assert answer.content and answer.response_metadata["finish_reason"] in ("stop", "length")
    assert answer.usage_metadata["output_tokens"] <= 12
    chunks = list(model.stream([HumanMessage("Hi")]))
    assert "".join(chunk.text for chunk in chunks) == answer.content
    assert sum(chunk.usage_metadata["input_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


def test_langchain_sends_history_and_pictures(scripted, as_address) -> None:
    picture = {"type": "image_url", "image_url": {"url": as_address(Image.new("RGB", (40, 30), "red"))}}
    chain(scripted, stop=["x"]).invoke(
        [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "Look:"}, picture]),
            AIMessage("I do."),
            HumanMessage("Well?"),
        ]
    )
    (request,) = scripted.backend.requests
    assert [message["role"] for message in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[1]["content"][1]["image"].open().getpixel((0, 0)) == (255, 0, 0)


@contextmanager
def load_chat(served, **options: Any) -> Iterator[Client]:
    loaded = gr.load_chat(f"{served.url}v1", "script", token="any", **options)
    _, url, _ = loaded.launch(prevent_thread_lock=True, quiet=True)
    try:
        yield Client(url, verbose=False)
    finally:
        loaded.close(verbose=False)


def test_gradio_loads_it_as_a_chat(scripted) -> None:
    """One question each time, because Gradio 6.31 itself fails at the second through its API."""
    with load_chat(scripted, file_types=None) as client:
        assert client.predict("Who are you?", api_name="/open_api_stream") == "Hello."
    (request,) = scripted.backend.requests
    assert request.messages == [{"role": "user", "content": "Who are you?"}]


def test_gradio_loads_it_as_a_chat_with_pictures(scripted, tmp_path) -> None:
    """It sends a picture as a message of its own."""
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    with load_chat(scripted, file_types=["image"], streaming=False) as client:
        message = {"text": "What is red?", "files": [handle_file(tmp_path / "red.png")]}
        assert client.predict(message, api_name="/open_api") == "Hello."
    (request,) = scripted.backend.requests
    (question,) = request.messages
    assert [part.get("text", part["type"]) for part in question["content"]] == ["image", "\n", "What is red?"]
