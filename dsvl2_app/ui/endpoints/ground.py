"""The /ground endpoint: a picture and a phrase, or an example -> the picture with boxes, the boxes, the text."""

from __future__ import annotations

from asyncio import to_thread
from dataclasses import asdict
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.grounding import MODES, Mode
from dsvl2_app.ui.endpoints.arguments import whole_arguments
from dsvl2_app.ui.events import MODEL, attended
from dsvl2_app.ui.locate import compose, draw, read_answer, submit
from dsvl2_app.ui.sampling import read_whole_number
from dsvl2_app.ui.uploads import measure, name_caller, save_drawing, uploaded_path


class GroundEndpoint:
    """Finds things in one picture."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.limits = limits

    def build(self) -> None:
        gr.Button().click(
            self.ground,
            [
                gr.Image(label="image", type="filepath"),
                gr.Textbox(value="", label="phrase"),
                gr.Radio(MODES, value="find", label="mode"),
                gr.Image(label="example", type="filepath"),
                gr.JSON(label="rectangle"),
                gr.Checkbox(value=self.backend.capabilities.grammar, label="well_formed"),
                gr.Number(value=1, precision=0, label="page"),
            ],
            [gr.Image(label="annotated"), gr.JSON(label="boxes"), gr.Textbox(label="text")],
            api_name="ground",
            preprocess=False,
            **MODEL,
        )

    @whole_arguments
    async def ground(
        self,
        image: Any,
        phrase: str = "",
        mode: Mode = "find",
        example: Any = None,
        rectangle: list[float] | None = None,
        well_formed: bool = True,
        page: int = 1,
        visitor: gr.Request | None = None,
    ) -> tuple[str, dict[str, Any], str]:
        """Find something in a picture.

        Args:
            image: handle_file(path or URL).
            phrase: What to find ("the dog on the left"), or in mode "describe" a question ("Describe this picture."
                unless given); unused "in_context".
            mode: "find" a phrase, "find_all" that it fits, "describe" with boxes for what the answer mentions,
                "in_context": find what is marked in the example, "point" at all that it fits (see "centre"), or "count"
                it, which is how many boxes there are.
            example: In mode "in_context" another picture, handle_file(path or URL), that shows such a thing.
            rectangle: [left, top, right, bottom] around the thing in the example, in pixels of the upright picture.
            well_formed: A box that the model begins is written whole, with any words around it; with False a box may
                break off.
            page: Of a PDF, a TIFF or an animation.

        Returns:
            The picture with boxes drawn on it; {"boxes": [{"label", "x1", "y1", "x2", "y2" in 0..999, "pixels":
            [left, top, right, bottom], "centre": [x, y] in pixels, of a PDF also "points", "notes"}], "problems":
            [{"place", "what", "excerpt"}]}; the model's text.
        """
        picture = await to_thread(lambda: measure(uploaded_path(image), self.limits, read_page(page)).opened())
        if mode == "in_context" and (example is None or rectangle is None):
            raise PromptError('The mode "in_context" needs an example and a rectangle around the thing in it.')
        messages = await to_thread(compose, picture, phrase, mode, example, rectangle, self.limits)
        stream = submit(self.backend, messages, well_formed=well_formed, caller=name_caller(visitor))
        return await self.find(picture, stream, mode, phrase)

    async def find(self, picture: ImageRef, stream: Stream, mode: Mode, phrase: str) -> tuple[str, dict[str, Any], str]:
        """The picture with boxes, the boxes, the text."""
        async with attended(stream):
            *_, (text, parsed, _) = [part async for part in read_answer(stream, mode, [phrase])]
        size = picture.size
        boxes = [{**asdict(box), "pixels": box.pixels(*size), "centre": box.centre(*size)} for box in parsed.boxes]
        if picture.points:
            boxes = [
                each | {"points": box.pixels(*picture.points)} for each, box in zip(boxes, parsed.boxes, strict=True)
            ]
        problems = [problem.describe() for problem in parsed.problems]
        drawn = await to_thread(lambda: save_drawing(draw(picture.open(), parsed.boxes)))
        return drawn, {"boxes": boxes, "problems": problems}, text


def read_page(page: Any) -> int:
    """A page's number as clients count -> from 0."""
    number = read_whole_number("page", page)
    if number < 1:
        raise SettingsError("The {name} is {value!r}; choose a whole number from 1 up.", name="page", value=page)
    return number - 1
