"""The /inspect endpoint: pictures and a question -> the answer, and a file of what went on inside."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Sequence
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection.file import describe, encode, pack
from dsvl2_app.request import Caller, Request, Sampling
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui.endpoints.arguments import whole_arguments
from dsvl2_app.ui.events import MODEL, attended
from dsvl2_app.ui.uploads import list_files, measure, name_caller, preview, save_upload, uploaded_path

MOST_TOKENS = 256


class InspectEndpoint:
    """Answers once, and looks into the answer."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits

    def build(self) -> None:
        gr.Button().click(
            self.inspect,
            [
                gr.File(label="images", file_count="multiple", type="filepath"),
                gr.Textbox(value="", label="question"),
                gr.Radio(["npz", "json"], value="npz", label="format"),
            ],
            [gr.Textbox(label="text"), gr.File(label="inspection"), gr.JSON(label="about")],
            api_name="inspect",
            preprocess=False,
            **MODEL,
        )

    @whole_arguments
    async def inspect(
        self, images: Any, question: str = "", format: str = "npz", visitor: gr.Request | None = None
    ) -> tuple[str, str, dict[str, Any]]:
        """Ask about pictures, and look into the answer.

        Args:
            images: A list of handle_file(path or URL).
            question: <image> in it says where a picture goes.
            format: "npz" or "json", of the file.

        Returns:
            The answer; a file that `dsvl2_app.inspection.read` and the page open, with attention, experts, the logit
            lens, alternatives and corners of boxes as arrays; all of it but the arrays as JSON.
        """
        if not self.backend.capabilities.inspection:
            raise PromptError(
                "A model's server elsewhere cannot be looked into; run the model in this process for that."
            )
        if format not in ("npz", "json"):
            raise PromptError('The format is {format!r}; choose "npz" or "json".', format=format)
        pictures = [await to_thread(measure, uploaded_path(file), self.limits) for file in list_files(images)]
        if not isinstance(question, str) or not question.strip():
            raise PromptError("There is no question yet; type one.")
        text, seen = await self.look(place_images(question, pictures), name_caller(visitor))
        data = await to_thread(write_file, seen, pictures, as_json=format == "json")
        return text, await to_thread(save_upload, data, f"inspection.{format}"), describe(seen)

    async def look(self, content: Any, caller: Caller) -> tuple[str, Inspection]:
        """The answer to a message of this content, and what was seen in it."""
        asked = [{"role": "user", "content": content}]
        sampling = Sampling(max_new_tokens=MOST_TOKENS)
        request = Request(asked, sampling, allow=ALLOWED, owner=caller.owner, address=caller.address)
        async with attended(self.backend.submit(request)) as stream:
            events = [event async for event in stream]
        ids = [event.token for event in events if event.token is not None]
        async with attended(self.backend.inspect(request, ids)) as stream:
            *_, last = [event async for event in stream]
        assert last.inspection is not None
        return "".join(event.text for event in events), last.inspection


def write_file(seen: Inspection, images: Sequence[ImageRef], *, as_json: bool) -> bytes:
    """With the pictures as the page shows them, so that it can show all of it again."""
    return pack(seen, [encode(preview(image)) for image in images], as_json=as_json)
