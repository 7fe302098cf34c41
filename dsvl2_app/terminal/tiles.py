"""`python -m dsvl2_app tiles`: how pictures are cut up, in tables. Runs no model."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.image.load import load_image
from dsvl2_app.image.tiles import TileGeometry, TileLayout, lay_out
from dsvl2_app.model.configuration import PRESETS, DeepseekVL2Config
from dsvl2_app.model.weights import TEXT_FILES, find_folder, read_config
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.answer import OUTPUT, add_json_flag
from dsvl2_app.text.processor import MOST_TILED_IMAGES


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", metavar="FILE", help="the pictures of one conversation")
    parser.add_argument("--model", help="whose tiles and candidates (default: those of the released models)")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="tiles per picture at most (default: the model's)")
    add_json_flag(parser)


def run(flags: argparse.Namespace) -> None:
    """Show the tile grid of pictures, its candidates, and the tokens they become; runs no model."""
    geometry = _read_geometry(Settings.choose(flags, {"DSVL2_MODEL": "tiny", **os.environ}).model)
    tiling = len(flags.image) <= MOST_TILED_IMAGES
    layouts = [
        lay_out(*load_image(file).size, geometry, tiling=tiling, max_tiles=flags.max_tiles) for file in flags.image
    ]
    pairs = list(zip(flags.image, layouts, strict=True))
    if flags.json:
        print(json.dumps([{"file": file, **_export(layout)} for file, layout in pairs]))
        return
    console = Console(**OUTPUT)
    for file, layout in pairs:
        _print(console, file, layout)
    if not tiling:
        print(f"With more than {MOST_TILED_IMAGES} pictures in a conversation, each has a single local tile.")


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


def _print(console: Console, file: str, layout: TileLayout) -> None:
    (width, height), (columns, rows) = layout.image_size, layout.grid
    left, top, right, bottom = layout.content
    tile = layout.geometry.tile
    print(f"{Path(file).name}: {width} x {height} px")
    print(f"{columns} x {rows} tiles of {tile} px (across x down), and the global view: {layout.num_tiles} tiles")
    print(f"The picture lies at {left}, {top} - {right}, {bottom} of {layout.canvas[0]} x {layout.canvas[1]} px.")
    console.print(_tabulate_tokens(layout))
    console.print(_tabulate_candidates(layout))


def _tabulate_tokens(layout: TileLayout) -> Table:
    (columns, rows), side = layout.grid, layout.geometry.tokens_per_side
    shapes = {
        "global": f"{side} rows of {side} tokens and a newline",
        "separator": "between the views",
        "local": f"{rows * side} rows of {columns * side} tokens and a newline",
    }
    table = Table(title=f"{layout.num_tokens:,} tokens", title_justify="left", box=borders.SIMPLE_HEAD)
    for name in ("first", "last"):
        table.add_column(name, justify="right")
    for name in ("part", "what"):
        table.add_column(name)
    for part in _list_parts(layout):
        table.add_row(str(part["first"]), str(part["last"]), part["part"], shapes[part["part"]])
    return table


def _tabulate_candidates(layout: TileLayout) -> Table:
    table = Table(title="Candidates, best first", title_justify="left", box=borders.SIMPLE_HEAD)
    for name in ("rank", "tiles", "canvas", "scale", "px kept", "px empty"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for candidate in sorted(layout.candidates, key=lambda candidate: candidate.rank):
        table.add_row(
            str(candidate.rank),
            "{} x {}".format(*candidate.grid),
            "{} x {}".format(*candidate.resolution),
            f"{candidate.scale:.2f}",
            f"{candidate.effective:,}",
            f"{candidate.wasted:,}",
            "chosen" if candidate.chosen else "",
            style="bold" if candidate.chosen else "",
        )
    return table
