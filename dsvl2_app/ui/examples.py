"""assets/examples/examples.json -> what a tab offers to try.

A list of {"tab": "chat" | "grounding" | "tiles", "text": "...", "pictures": ["file.jpg", ...]}, pictures being names
in the same folder. Without the file there are no examples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    pictures: tuple[str, ...]


def read_examples(tab: str, folder: Path = EXAMPLES) -> list[Example]:
    index = folder / "examples.json"
    if not index.exists():
        return []
    return [
        Example(example["text"], tuple(str(folder / name) for name in example["pictures"]))
        for example in json.loads(index.read_text(encoding="utf-8"))
        if example["tab"] == tab
    ]
