"""The /ground endpoint: a picture and a phrase -> the picture with boxes, the boxes, the text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr
from PIL import Image

from dsvl2_app.engine.worker import Worker
from dsvl2_app.image.load import Limits
from dsvl2_app.ui import wording
from dsvl2_app.ui.locate import PHRASE_MODES, Mode, compose, draw, read_answer, submit
from dsvl2_app.ui.uploads import open_upload


class Ground:
    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.worker = worker
        self.limits = limits

    def build_endpoint(self) -> None:
        gr.Button().click(
            self.ground,
            [
                gr.Image(label="image", type="filepath"),
                gr.Textbox(label="phrase"),
                gr.Radio(PHRASE_MODES, value="find", label="mode"),
            ],
            [gr.Image(label="annotated"), gr.JSON(label="boxes"), gr.Textbox(label="text")],
            api_name="ground",
            preprocess=False,
            concurrency_id="model",
            concurrency_limit=None,
        )

    def ground(self, image: Any, phrase: str, mode: Mode = "find") -> tuple[Image.Image, dict[str, Any], str]:
        """Find something in a picture.

        Args:
            image: handle_file(path or URL).
            phrase: What to find ("the dog on the left"), or in mode "describe" a question.
            mode: "find" a phrase, "find_all" that it fits, or "describe" with boxes for what the answer mentions.

        Returns:
            The picture with boxes drawn on it; {"boxes": [{"label", "x1", "y1", "x2", "y2" in 0..999, "pixels":
            [left, top, right, bottom], "notes"}], "problems": [{"place", "what", "excerpt"}]}; the model's text.
        """
        with wording.errors_for_clients():
            picture = open_upload(image, self.limits)
            with submit(self.worker, compose(picture, phrase, mode)) as stream:
                *_, (text, parsed, _) = read_answer(stream)
            boxes = [{**asdict(box), "pixels": box.pixels(*picture.size)} for box in parsed.boxes]
            problems = [asdict(problem) for problem in parsed.problems]
            return draw(picture, parsed.boxes), {"boxes": boxes, "problems": problems}, text
