"""assets/examples -> what a tab offers to try. Together they ask in every way that the official demo's examples do.

examples.json is a list of {"tab": "chat" | "grounding" | "tiles", "text": "...", "pictures": ["file.jpg", ...]},
pictures being names in the same folder. Without the file there are no examples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from pathlib import Path

from PIL import Image

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.image.load import load_image
from dsvl2_app.image.overlay import draw_mark
from dsvl2_app.image.tiles import PixelBox
from dsvl2_app.text.grounding import Mode
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.uploads import save_preview
from dsvl2_app.ui.words.translations import say


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    pictures: tuple[str, ...]
    mode: Mode = "find"  # in the Grounding tab; with "in_context" something is marked in another picture:
    marked: str = ""
    box: PixelBox = (0, 0, 0, 0)

    @property
    def caption(self) -> str:
        """Short, and without special tokens."""
        return CAPTIONS.get(self.text, self.text)


# The pictures of other examples, asked otherwise.
MORE = {
    "chat": (
        Example("<|ref|>The black triangle<|/ref|>.", ("one.png",)),
        Example("Find all <|ref|>yellow shapes<|/ref|>.", ("several.png",)),
        Example("<|grounding|>Describe this picture.", ("shapes.png",)),
    ),
    "grounding": (
        Example("yellow shapes", ("several.png",), "find_all"),
        Example("Describe this picture.", ("shapes.png",), "describe"),
        Example("yellow shapes", ("several.png",), "point"),
        Example("blue stars", ("count.jpg",), "count"),
        Example("A star like the marked one", ("shapes.png",), "in_context", "one.png", (246, 127, 306, 186)),
    ),
    "tiles": (Example("", ("which-1.png", "which-2.png", "which-3.png")),),
    "documents": (Example("", ("papers.tif",)),),
}

CAPTIONS = {
    "<|ref|>The black triangle<|/ref|>.": "Find the black triangle.",
    "Find all <|ref|>yellow shapes<|/ref|>.": "Find all yellow shapes.",
    "<|grounding|>Describe this picture.": "Describe this picture with boxes.",
    "yellow shapes": "All yellow shapes",
    "Tell me which image contains an orange circle.": "Which image contains an orange circle?",
    "The first image has an object in a red box. Locate the same kind of object in the second picture.": (
        "Find another of the marked kind."
    ),
}


def read_examples(tab: str, folder: Path = EXAMPLES) -> list[Example]:
    index = folder / "examples.json"
    if not index.exists():
        return []
    listed = json.loads(index.read_text(encoding="utf-8"))
    examples = [Example(each["text"], tuple(each["pictures"])) for each in listed if each["tab"] == tab]
    return [
        replace(
            example,
            pictures=tuple(str(folder / name) for name in example.pictures),
            marked=example.marked and str(folder / example.marked),
        )
        for example in (*examples, *MORE[tab])
        if all((folder / name).exists() for name in (*example.pictures, example.marked))
    ]


def show_examples(examples: Sequence[Example], modes: dict[Mode, str]) -> str:
    """Buttons with a picture each, what is asked, and how: the same words can be asked in several modes."""
    buttons = "".join(
        f'<button type="button" data-index="{index}"><img src="{file_address(save_preview(_picture(example)))}" alt="">'
        f"<span>{escape(say(example.caption))}<small>{say(modes[example.mode])}</small></span></button>"
        for index, example in enumerate(examples)
    )
    return f'<div class="offered" role="group" aria-label="{say("Examples")}"><p>{say("Examples")}</p>{buttons}</div>'


@cache
def _picture(example: Example) -> Image.Image:
    image = load_image(example.marked or example.pictures[0])
    if example.marked:
        image = draw_mark(image, example.box)
    image.thumbnail((160, 160))
    return image
