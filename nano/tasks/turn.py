"""One question with its answer, and the small language that answers are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from nano.scenes.scene import Box, Scene, scale_box


@dataclass(frozen=True, slots=True)
class Turn:
    """`truth` is what evaluation compares with; its one key says how: "boxes" (lists of 0..999, perhaps
    none), "fact" (accepted spellings), "name" (of what it is, in full), "number", "yes" or "text".
    """

    question: str
    answer: str
    kind: str  # "family.task"
    truth: dict[str, Any] = field(default_factory=dict)


# None where the scene holds nothing to ask this about.
Task = Callable[[Scene, Random], Turn | None]


def join(parts: Sequence[str]) -> str:
    """a, b and c"""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def article(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeio" else f"a {noun}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("s", "x", "ch")) else f"{noun}s"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def write_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> tuple[str, list[list[int]]]:
    """The official `[[x1, y1, x2, y2], ...]`, from left to right, and the same as numbers."""
    scaled = sorted(list(scale_box(box, size)) for box in boxes)
    return f"<|det|>{scaled}<|/det|>", scaled


def write_label(label: str) -> str:
    return f"<|ref|>{label}<|/ref|>"


def write_reference(label: str, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    return f"{write_label(label)}{write_boxes(boxes, size)[0]}"


def place_of(box: Box, size: tuple[int, int]) -> str | None:
    """ "at the top left" and so on; None near the lines between the nine fields."""
    names = []
    for centre, length in zip(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), size, strict=True):
        share = centre / length
        if min(abs(share - 1 / 3), abs(share - 2 / 3)) < 0.05:
            return None
        names.append(int(share * 3))
    across, down = ("left", "", "right")[names[0]], ("top", "", "bottom")[names[1]]
    if not across and not down:
        return "in the centre"
    if not down:
        return f"on the {across}"
    return f"at the {down} {across}".rstrip()


def side_of(one: Box, other: Box) -> str | None:
    """Where `one` lies as seen from `other`; None unless it is clear."""
    dx = (one[0] + one[2] - other[0] - other[2]) / 2
    dy = (one[1] + one[3] - other[1] - other[3]) / 2
    apart_x = one[2] <= other[0] or other[2] <= one[0]
    apart_y = one[3] <= other[1] or other[3] <= one[1]
    if apart_x and abs(dx) > 1.3 * abs(dy):
        return "to the left of" if dx < 0 else "to the right of"
    if apart_y and abs(dy) > 1.3 * abs(dx):
        return "above" if dy < 0 else "below"
    return None


OPPOSITE = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
}
SAID = {
    "to the left of": ("to the left of", "left of", "on the left of"),
    "to the right of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
