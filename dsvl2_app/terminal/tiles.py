"""`dsvl2 tiles`: how pictures are cut up, in tables. Runs no model."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.hub import TEXT_FILES, find_folder, read_config
from dsvl2_app.image.description import describe_layout, token_parts
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.page_ranges import open_pages
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import MOST_TILED_IMAGES, TileLayout, are_tiled, lay_out_all
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.answer import OUTPUT


def run(flags: argparse.Namespace) -> None:
    geometry = _read_geometry(Settings.choose(flags, {"DSVL2_MODEL": "tiny", **os.environ}).model)
    pages = [(file, page) for file in flags.image for page in open_pages(file, flags.pages)]
    layouts = lay_out_all([page.size for _, page in pages], geometry, max_tiles=flags.max_tiles)
    pairs = [(_name(file, page), layout) for (file, page), layout in zip(pages, layouts, strict=True)]
    if flags.json:
        print(json.dumps([{"file": file, **describe_layout(layout)} for file, layout in pairs]))
        return
    console = Console(**OUTPUT)
    for file, layout in pairs:
        _print(console, file, layout)
    if not are_tiled(len(layouts)):
        print(f"With more than {MOST_TILED_IMAGES} pictures in a conversation, each has a single local tile.")


def _name(file: str, page: ImageRef) -> str:
    return f"{file}, {page.kind} {page.frame + 1}" if page.frame or page.points else file


def _read_geometry(model: str) -> TileGeometry:
    if model in PRESETS:
        return DeepseekVL2Config.preset(model).geometry
    return DeepseekVL2Config(**read_config(find_folder(model, TEXT_FILES))).geometry


def _print(console: Console, file: str, layout: TileLayout) -> None:
    (width, height), (columns, rows) = layout.image_size, layout.grid
    left, top, right, bottom = layout.content
    tile = layout.geometry.tile
    print(f"{Path(file).name}: {width} x {height} px")
    print(f"{columns} x {rows} tiles of {tile} px (across x down), and the global view: {layout.num_tiles} tiles")
    print(f"The picture lies at {left}, {top} - {right}, {bottom} of {layout.canvas[0]} x {layout.canvas[1]} px.")
    console.print(_tabulate_tokens(layout))
    console.print(_tabulate_candidates(layout))
    print("Wasted is all else of the canvas: its padding, and what enlarging the picture adds.")


def _tabulate_tokens(layout: TileLayout) -> Table:
    table = Table(title=f"{layout.num_tokens:,} tokens", title_justify="left", box=borders.SIMPLE_HEAD)
    for name in ("first", "last"):
        table.add_column(name, justify="right")
    for name in ("part", "what"):
        table.add_column(name)
    for part in token_parts(layout):
        shape = "between the views"
        if part["kind"] != "separator":
            shape = f"{part['rows']} rows of {part['columns']} tokens and a newline"
        table.add_row(str(part["first"]), str(part["last"]), part["kind"], shape)
    return table


def _tabulate_candidates(layout: TileLayout) -> Table:
    table = Table(title="Candidates, best first", title_justify="left", box=borders.SIMPLE_HEAD)
    for name in ("rank", "tiles", "canvas", "scale", "px kept", "px wasted"):
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
