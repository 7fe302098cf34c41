"""`dsvl2 ground`: boxes as a table, as a picture, as a file."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Request, Sampling
from dsvl2_app.terminal.answer import OUTPUT, answer, open_backend, summarise
from dsvl2_app.text.boxes import Parsed, parse_boxes
from dsvl2_app.text.exports import FORMATS, Annotation, data_url
from dsvl2_app.text.grounding import ALLOWED, ask_for, name_boxes
from dsvl2_app.text.marking import ask_in_context
from dsvl2_app.text.prompt import Message


def run(flags: argparse.Namespace) -> None:
    image = ImageRef.of(flags.image, frame=max(0, flags.page - 1)).opened()
    request = Request(
        _compose(flags, image),
        Sampling(max_new_tokens=flags.max_new_tokens),
        ALLOWED,
        max_tiles=flags.max_tiles,
        grammar=not flags.unconstrained,
    )
    with open_backend(flags) as backend:
        summary = summarise(answer(backend, request))
    parsed = name_boxes(parse_boxes(summary["text"]), [flags.phrase], flags.mode)
    if flags.json:
        boxes = [
            {**asdict(box), "pixels": box.pixels(*image.size), "centre": box.centre(*image.size)}
            for box in parsed.boxes
        ]
        if image.points:
            boxes = [
                each | {"points": box.pixels(*image.points)} for each, box in zip(boxes, parsed.boxes, strict=True)
            ]
        problems = [problem.describe() for problem in parsed.problems]
        print(json.dumps({"boxes": boxes, "problems": problems, **summary}))
    else:
        _print(parsed, image.size, summary["text"])
    page = flags.page if flags.page > 1 or image.points else 0
    found = Annotation(
        Path(flags.image).name,
        *image.size,
        parsed.boxes,
        summary["text"],
        page=page,
        kind=image.kind,
        points=image.points,
    )
    for name in flags.out:
        _write(name, image, found)


def _compose(flags: argparse.Namespace, image: ImageRef) -> list[Message]:
    if flags.mode != "in_context":
        if flags.mode != "describe" and not flags.phrase.strip():
            raise PromptError("There is nothing to look for; write a phrase after the flags, in quotes.")
        return ask_for(image, flags.phrase, flags.mode)
    if not flags.example or not flags.rectangle:
        raise PromptError("--mode in_context needs --example and --rectangle; give both.")
    try:
        left, top, right, bottom = map(int, flags.rectangle.split(","))
        if left >= right or top >= bottom:
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"--rectangle is {flags.rectangle!r}, but must be left,top,right,bottom in pixels, as in 10,20,110,220."
        ) from None
    return ask_in_context(image, ImageRef.of(flags.example), (left, top, right, bottom))


def _print(parsed: Parsed, size: tuple[int, int], text: str) -> None:
    for problem in parsed.problems:
        print(f"At character {problem.place} of the answer: {problem.what}: {problem.excerpt!r}", file=sys.stderr)
    if not parsed.boxes:
        print(f"No boxes; the model answered {text!r}")
        return
    table = Table(box=borders.SIMPLE_HEAD)
    table.add_column("label", overflow="fold")
    for edge in ("left", "top", "right", "bottom"):
        table.add_column(f"{edge} px", justify="right")
    table.add_column("of 999", no_wrap=True)
    for box in parsed.boxes:
        edges = [f"{edge:.0f}" for edge in box.pixels(*size)]
        table.add_row(box.label or "unnamed", *edges, f"{box.x1}, {box.y1}, {box.x2}, {box.y2}")
    Console(**OUTPUT).print(table)


def _write(name: str, image: ImageRef, found: Annotation) -> None:
    """Write boxes in the format of the name's suffix, the longest one that fits (-coco.json before .json); else the
    picture with its boxes."""
    formats = [each for each in FORMATS.values() if name.endswith(each.suffix)]
    try:
        if formats:
            format = max(formats, key=lambda each: len(each.suffix))
            if format is FORMATS["Label Studio"]:
                found = replace(found, address=data_url(image.open()))
            Path(name).write_text(format.write(found), encoding="utf-8")
        else:
            drawn = [OverlayBox(box.label, *found.pixels(box)) for box in found.boxes]
            draw_boxes(image.open(), drawn).save(name)
    except (OSError, ValueError) as error:  # ValueError: a suffix that is no picture's
        raise SettingsError(f"--out {name} cannot be written ({error}); try boxes.png.") from error
