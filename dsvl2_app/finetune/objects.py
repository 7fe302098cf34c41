"""Boxes that data keeps beside its text (ms-swift's `objects`) -> boxes in the text, as the model writes them.

`<ref-object>` is the next of `ref`, `<bbox>` the next of `bbox`, whose numbers are pixels of the upright picture, or
shares of its sides where `bbox_type` is "norm1"; `image_id` counts the pictures of the conversation from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dsvl2_app.errors import PromptError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.boxes import LARGEST

if TYPE_CHECKING:
    from dsvl2_app.finetune.layouts import Turn

REF, BOX = "<ref-object>", "<bbox>"
_REFS = re.compile(rf"(?:<\|ref\|>)?{REF}(?:<\|/ref\|>)?")
_BOXES = re.compile(rf"(?:<\|det\|>)?((?:{BOX})+)(?:<\|/det\|>)?")
SLACK = 1.01  # of a picture's side, that an annotator may have gone too far


def write_box(left: float, top: float, right: float, bottom: float, width: float, height: float) -> list[int]:
    """Edges on a picture of that size -> the integers 0..999 of `Box`; the inverse of `Box.pixels`."""
    return [
        min(max(round(edge / side * LARGEST), 0), LARGEST)
        for edge, side in ((left, width), (top, height), (right, width), (bottom, height))
    ]


def place_objects(turns: list[Turn], objects: Any) -> None:
    """Write `objects` into the texts of `turns`; raises PromptError where one of them has no place or no object."""
    objects = {} if objects is None else objects
    if not isinstance(objects, dict) or not set(objects) <= {"ref", "bbox", "bbox_type", "image_id"}:
        raise PromptError('\'objects\' must be {"ref": [...], "bbox": [[left, top, right, bottom], ...]}.')
    refs = objects.get("ref") or []
    boxes = _read_boxes(objects, turns)
    texts = [part for turn in turns for part in turn.parts if isinstance(part, str)]
    for tag, given in ((REF, refs), (BOX, boxes)):
        places = sum(text.count(tag) for text in texts)
        if places != len(given):
            raise PromptError(f"the text has {places} {tag} for {len(given)} of them in 'objects'; give each a place.")
    if not refs and not boxes:
        return
    names, corners = iter(map(str, refs)), iter(boxes)
    for turn in turns:
        turn.parts = [_write(part, names, corners) if isinstance(part, str) else part for part in turn.parts]


def _write(text: str, names: Iterator[str], corners: Iterator[list[int]]) -> str:
    text = _REFS.sub(lambda _: f"<|ref|>{next(names)}<|/ref|>", text)
    return _BOXES.sub(lambda run: f"<|det|>{[next(corners) for _ in range(run[1].count(BOX))]}<|/det|>", text)


def _read_boxes(objects: dict[str, Any], turns: list[Turn]) -> list[list[int]]:
    boxes, kind = objects.get("bbox") or [], objects.get("bbox_type") or "real"
    if kind not in ("real", "norm1"):
        raise PromptError(f"'bbox_type' is {kind!r}; only real (pixels) and norm1 (shares of the sides) are known.")
    sources = [picture.source for turn in turns for picture in turn.pictures]
    numbers = objects.get("image_id") or [0] * len(boxes)
    read = []
    for place, box in enumerate(boxes):
        try:
            edges, number = [float(edge) for edge in box], int(numbers[place])
            if number < 0:
                raise IndexError
            width, height = (1, 1) if kind == "norm1" else ImageRef.of(sources[number]).size
        except (IndexError, TypeError, ValueError):
            raise PromptError(f"'bbox' number {place + 1} is {str(box)[:60]}; give it numbers and a picture.") from None
        if len(edges) != 4:
            raise PromptError(f"'bbox' number {place + 1} has {len(edges)} numbers; the model learns boxes of 4.")
        if min(edges) < 0 or max(edges[0::2]) > width * SLACK or max(edges[1::2]) > height * SLACK:
            raise PromptError(f"'bbox' number {place + 1} is {edges}, outside of its picture of {width} x {height}.")
        left, top, right, bottom = edges
        read.append(write_box(left, top, right, bottom, width, height))
    return read
