"""The /chat endpoint: a message and its history -> the answer, streamed. Nothing is kept between calls."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.page_ranges import FIRST
from dsvl2_app.request import Caller, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.messages import Message
from dsvl2_app.text.prompt import place_images
from dsvl2_app.text.tokens import check_count
from dsvl2_app.ui.endpoints.arguments import whole_arguments
from dsvl2_app.ui.endpoints.client_turns import measure_pictures, pictures_of, read_history, read_turn
from dsvl2_app.ui.events import MODEL, attended
from dsvl2_app.ui.pages import list_pages
from dsvl2_app.ui.sampling import read_sampling
from dsvl2_app.ui.uploads import name_caller, read_message


class ChatEndpoint:
    """Answers a message after the history that comes with it."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits

    def build(self) -> None:
        gr.Button().click(
            self.chat,
            [
                gr.MultimodalTextbox(label="message", file_count="multiple"),
                gr.JSON(value=[], label="history"),
                gr.Number(value=0.2, label="temperature"),
                gr.Number(value=0.9, label="top_p"),
                gr.Number(value=1.0, label="repetition_penalty"),
                gr.Number(value=min(512, self.backend.card.context), precision=0, label="max_new_tokens"),
                gr.Number(value=None, precision=0, label="seed"),
                gr.Textbox(value=FIRST, label="pages"),
                gr.Checkbox(value=False, label="stop_repetition"),
            ],
            gr.Textbox(label="answer"),
            api_name="chat",
            preprocess=False,
            **MODEL,
        )

    @whole_arguments
    async def chat(
        self,
        request: gr.Request,
        message: dict[str, Any],
        history: list[dict[str, Any]] | None = None,
        temperature: float = 0.2,
        top_p: float = 0.9,
        repetition_penalty: float = 1.0,
        max_new_tokens: int = 512,
        seed: int | None = None,
        pages: str = FIRST,
        stop_repetition: bool = False,
    ) -> AsyncIterator[str]:
        """Answer a message about any number of pictures. Streams the answer so far; the last value is all of it.

        Nothing is kept between calls: what was said before goes into `history`, oldest turn first, as [{"role":
        "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]. Content may also be a list of
        {"type": "text", "text": ...} and {"type": "image", "image": picture}, and the first role may be "system". The
        parts of Gradio's chatbots and of OpenAI's clients work as well, as do "files" beside content. A picture is
        handle_file(path or URL) in gradio_client and an http(s) or data URL for MCP clients.

        Args:
            message: {"text": question, "files": [pictures]}; <image> in the text says where the next picture goes.
            history: Earlier turns, as above.
            temperature: 0 always takes the likeliest token.
            top_p: Choose among the likeliest tokens that together have this probability.
            repetition_penalty: Above 1 discourages tokens that occurred before; it harms numbers.
            max_new_tokens: The answer's limit.
            seed: The same seed gives the same answer; leave it out for a random one.
            pages: Of documents and clips among the files, such as 1-3, 7; the first unless given.
            stop_repetition: End the answer once it says the same over and over, as no page does."""
        sampling = read_sampling(temperature, top_p, repetition_penalty, max_new_tokens, seed, stop_repetition)
        messages = await to_thread(self.compose, message, history or [], pages)
        wanted, answer = self.ask(messages, sampling, name_caller(request)), ""
        async with attended(self.backend.submit(wanted)) as stream:
            async for event in stream:
                if event.text:
                    answer += event.text
                    yield answer
        yield answer

    def ask(self, messages: list[Message], sampling: Sampling, caller: Caller) -> Request:
        grammar = self.backend.capabilities.grammar
        return Request(messages, sampling, ALLOWED, grammar=grammar, owner=caller.owner, address=caller.address)

    def compose(self, message: Any, history: Any, pages: str = FIRST) -> list[Message]:
        """Too many pictures are refused before one of them is measured, but for those of which pages are named."""
        messages = [*read_history(history), self.read_message(message, pages)]
        card = self.backend.card
        check_count(len([*pictures_of(messages)]), card.geometry, card.context)
        return measure_pictures(messages, self.limits)

    def read_history(self, history: Any) -> list[Message]:
        """Messages as clients write them (see `client_turns`) -> messages with references in place of files."""
        return measure_pictures(read_history(history), self.limits)

    def read_message(self, message: Any, pages: str = FIRST) -> Message:
        """What is asked now, in the form of a gr.MultimodalTextbox or of a turn of the history."""
        if not isinstance(message, dict) or "content" not in message:
            text, paths = read_message(message)
            images = paths if pages == FIRST else list_pages(paths, f"{pages}", self.limits)
            return {"role": "user", "content": place_images(text, images)}
        if message.get("role") != "user":
            raise PromptError("The message is not a user's; put earlier answers into the history.")
        return read_turn(message)
