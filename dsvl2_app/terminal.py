"""chat, ground and tiles in a terminal: the three tabs of the page, as text or as one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from dsvl2_app.engine.request import Request, Sampling, Step
from dsvl2_app.engine.worker import Worker
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.load import load_image
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.image.tiles import TileGeometry, TileLayout, lay_out
from dsvl2_app.model.configuration import PRESETS, DeepseekVL2Config
from dsvl2_app.model.weights import TEXT_FILES, find_folder, read_config
from dsvl2_app.settings import Settings, add_model_flags
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.processor import MOST_TILED_IMAGES
from dsvl2_app.text.prompt import REF_TOKENS, place_images


def add_chat_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", help="<image> in it says where a picture goes; the others go before it")
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="once for each picture")
    _add_answer_flags(parser)


def chat(flags: argparse.Namespace) -> None:
    """Ask about pictures; the answer streams."""
    if not flags.question.strip():
        raise PromptError("The question is empty; write one after the flags, in quotes.")
    content = place_images(flags.question, [load_image(file) for file in flags.image])
    steps = []
    for step in _answer(flags, content):
        steps.append(step)
        if not flags.json:
            print(step.text, end="", flush=True)
    print(json.dumps(_summarise(steps)) if flags.json else "")


def add_ground_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("phrase", help="what to find")
    parser.add_argument("--image", required=True, metavar="FILE", help="where to look")
    parser.add_argument("--out", metavar="FILE", help="write the picture with its boxes here")
    _add_answer_flags(parser)


def ground(flags: argparse.Namespace) -> None:
    """Find something in a picture; print its boxes, and draw them with --out."""
    if not flags.phrase.strip():
        raise PromptError("There is nothing to look for; write a phrase after the flags, in quotes.")
    image = load_image(flags.image)
    content = place_images(f"<|ref|>{flags.phrase}<|/ref|>.", [image])
    summary = _summarise(list(_answer(flags, content, REF_TOKENS)))
    parsed = parse_boxes(summary["text"])
    if flags.json:
        boxes = [{**asdict(box), "pixels": box.pixels(*image.size)} for box in parsed.boxes]
        problems = [asdict(problem) for problem in parsed.problems]
        print(json.dumps({"boxes": boxes, "problems": problems, **summary}))
    else:
        for box in parsed.boxes:
            pixels = ", ".join(f"{edge:.0f}" for edge in box.pixels(*image.size))
            print(f"{box.label or 'unnamed'}: {pixels} px (of 999: {box.x1}, {box.y1}, {box.x2}, {box.y2})")
        for problem in parsed.problems:
            print(f"At character {problem.place} of the answer: {problem.what}: {problem.excerpt!r}", file=sys.stderr)
        if not parsed.boxes:
            print(f"No boxes; the model answered {summary['text']!r}")
    if flags.out:
        drawn = draw_boxes(image, [OverlayBox(box.label, *box.pixels(*image.size)) for box in parsed.boxes])
        try:
            drawn.save(flags.out)
        except (OSError, ValueError) as error:  # ValueError: a suffix that is no picture's
            raise SettingsError(f"--out {flags.out} cannot be written ({error}); try boxes.png.") from error


def add_tiles_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", metavar="FILE", help="the pictures of one conversation")
    parser.add_argument("--model", help="whose tiles and candidates (default: those of the released models)")
    _add_json_flag(parser)


def tiles(flags: argparse.Namespace) -> None:
    """Show the tile grid of pictures, its candidates, and the tokens they become; runs no model."""
    geometry = _read_geometry(Settings.choose(flags, {"DSVL2_MODEL": "tiny", **os.environ}).model)
    tiling = len(flags.image) <= MOST_TILED_IMAGES
    layouts = [lay_out(*load_image(file).size, geometry, tiling=tiling) for file in flags.image]
    pairs = list(zip(flags.image, layouts, strict=True))
    if flags.json:
        print(json.dumps([{"file": file, **_export(layout)} for file, layout in pairs]))
        return
    print("\n\n".join(_describe(file, layout) for file, layout in pairs))
    if not tiling:
        print(f"\nWith more than {MOST_TILED_IMAGES} pictures in a conversation, each has a single local tile.")


def _read_geometry(model: str) -> TileGeometry:
    if model in PRESETS:
        return DeepseekVL2Config.preset(model).geometry
    return DeepseekVL2Config(**read_config(find_folder(model, TEXT_FILES))).geometry


def _export(layout: TileLayout) -> dict[str, Any]:
    return {
        "size": layout.image_size,
        "grid": layout.grid,
        "canvas": layout.canvas,
        "content": layout.content,
        "scale": layout.scale,
        "tiles": layout.num_tiles,
        "tokens": layout.num_tokens,
        "parts": _list_parts(layout),
        "candidates": [asdict(candidate) for candidate in layout.candidates],
    }


def _list_parts(layout: TileLayout) -> list[dict[str, Any]]:
    """The views and the separator with the range of their tokens, the last one included."""
    parts, start = [], 0
    for name, tokens in groupby(layout.tokens(), key=lambda token: token.view or token.kind):
        stop = start + len(list(tokens))
        parts.append({"part": name, "first": start, "last": stop - 1})
        start = stop
    return parts


def _describe(file: str, layout: TileLayout) -> str:
    (width, height), (columns, rows), side = layout.image_size, layout.grid, layout.geometry.tokens_per_side
    left, top, right, bottom = layout.content
    tile = layout.geometry.tile
    lines = [
        f"{Path(file).name}: {width} x {height} px",
        f"{columns} x {rows} tiles of {tile} px (across x down), and the global view: {layout.num_tiles} tiles",
        f"The picture lies at {left}, {top} - {right}, {bottom} of {layout.canvas[0]} x {layout.canvas[1]} px.",
        "",
        f"{layout.num_tokens:,} tokens",
    ]
    shapes = {
        "global": f"{side} rows of {side} tokens and a newline",
        "separator": "between the views",
        "local": f"{rows * side} rows of {columns * side} tokens and a newline",
    }
    for part in _list_parts(layout):
        lines.append(f"  {part['first']:>5} - {part['last']:<5}  {part['part']:<9}  {shapes[part['part']]}")
    lines += ["", f"  rank  {'tiles':<7}  {'canvas':<11}  {'scale':>5}  {'px kept':>10}  {'px empty':>10}"]
    for candidate in sorted(layout.candidates, key=lambda candidate: candidate.rank):
        tiles, canvas = "{} x {}".format(*candidate.grid), "{} x {}".format(*candidate.resolution)
        numbers = f"{candidate.scale:>5.2f}  {candidate.effective:>10,}  {candidate.wasted:>10,}"
        chosen = "  chosen" if candidate.chosen else ""
        lines.append(f"  {candidate.rank:>4}  {tiles:<7}  {canvas:<11}  {numbers}{chosen}")
    return "\n".join(lines)


def _add_answer_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="(default: 512)")
    _add_json_flag(parser)
    add_model_flags(parser)


def _add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead")


def _answer(
    flags: argparse.Namespace, content: list[dict[str, Any]], allow: frozenset[str] = frozenset()
) -> Iterator[Step]:
    """The steps of a greedy answer by the model that the flags name."""
    request = Request([{"role": "user", "content": content}], Sampling(max_new_tokens=flags.max_new_tokens), allow)
    with closing(Worker.load(Settings.choose(flags, os.environ))) as worker:
        if worker.card.notice:
            print(worker.card.notice, file=sys.stderr)
        with worker.submit(request) as stream:
            yield from stream


def _summarise(steps: list[Step]) -> dict[str, Any]:
    text = "".join(step.text for step in steps)
    return {"text": text, "finish": steps[-1].finish, "timings": asdict(steps[-1].timings)}
