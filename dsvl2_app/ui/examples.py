"""assets/examples -> what a tab offers to try. Together they ask in every way that the official demo's examples do.

examples.json is a list of {"tab": "chat" | "grounding" | "tiles", "text": "...", "pictures": ["file.jpg", ...]},
pictures being names in the same folder. Without the file there are no examples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dsvl2_app.text.grounding import Mode

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    pictures: tuple[str, ...]
    mode: Mode = "find"  # in the Grounding tab

    @property
    def caption(self) -> str:
        """Short, and without special tokens."""
        return CAPTIONS.get(self.text, self.text)


# The pictures of other examples, asked otherwise.
MORE = {
    "chat": (
        Example("<|ref|>The black triangle<|/ref|>.", ("one.png",)),
        Example("Find all <|ref|>yellow shapes<|/ref|>.", ("several.png",)),
        Example("<|grounding|>Describe this picture.", ("one.png",)),
    ),
    "grounding": (
        Example("yellow shapes", ("several.png",), "find_all"),
        Example("Describe this picture.", ("one.png",), "describe"),
    ),
    "tiles": (Example("", ("which-1.png", "which-2.png", "which-3.png")),),
}

CAPTIONS = {
    "<|ref|>The black triangle<|/ref|>.": "Find the black triangle.",
    "Find all <|ref|>yellow shapes<|/ref|>.": "Find all yellow shapes.",
    "<|grounding|>Describe this picture.": "Describe this picture with boxes.",
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
        Example(example.text, tuple(str(folder / name) for name in example.pictures), example.mode)
        for example in (*examples, *MORE[tab])
        if all((folder / name).exists() for name in example.pictures)
    ]
