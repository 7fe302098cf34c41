"""The tokens of a picture as a strip and over the picture: pointing at either shows its place in the other.

The page's script (assets/tokens.js) moves the marks; what it needs is in data attributes here.
"""

from __future__ import annotations

import json

from dsvl2_app.image.description import token_parts
from dsvl2_app.image.tiles import Box, TileLayout
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.words.translations import say

NAMES = {"global": "Global view", "separator": "Separator", "local": "Tiles"}

# The page's script puts numbers and names in place of the stars.
TOKEN = "Token *: *"
TILE = "*: * tokens in * rows, from * to *"


def show_tokens(layout: TileLayout, preview: str) -> str:
    """`preview` is the file that shows the picture."""
    strip, legend = "", ""
    for part in token_parts(layout):
        kind, first, last = part["kind"], part["first"], part["last"]
        strip += f'<span class="{kind}" style="flex-grow:{last - first + 1}"></span>'
        if kind == "separator":
            span = say("token {first:,}", first=first)
        else:
            span = say(
                "tokens {first:,} to {last:,}: {rows} rows of {columns} and a newline",
                **{name: part[name] for name in ("first", "last", "rows", "columns")},
            )
        name = f"<strong>{say(NAMES[kind])}</strong>"
        if kind == "global":
            name = f'<button type="button" class="whole" data-tile="0">{say(NAMES[kind])}</button>'
        legend += f'<li class="{kind}">{name}<small>{span}</small></li>'
    last = layout.num_tokens - 1
    title = say("The {tokens:,} tokens in order", tokens=layout.num_tokens)
    return (
        f'<section class="tokens" data-places="{_describe_places(layout)}" data-token="{say(TOKEN)}" '
        f'data-tile-words="{say(TILE)}"><h3>{title}</h3>'
        f'<div class="strip" aria-hidden="true">{strip}<div class="runs"></div></div>'
        f'<input type="range" min="0" max="{last}" value="0" aria-label="{say("Token")}">'
        f'<output class="place" role="status">{say("Point at the strip, at a tile or at the global view.")}</output>'
        f"<ul>{legend}</ul>{_show_picture(layout, preview)}</section>"
        f"<h3>{say('What the model gets: the global view, then the tiles row by row')}</h3>"
    )


def _describe_places(layout: TileLayout) -> str:
    """For every token what it is, the px that it looks at, and its tile, as an attribute's value."""
    places = []
    for token in layout.tokens():
        where = ""
        if token.row is not None:
            where = say(", row {row}, column {column}", row=token.row, column=token.column)
        box = None if token.box is None else [round(edge, 1) for edge in token.box]
        if token.tile is not None and box is None:
            where += say(", padding alone")
        name = say(token.kind) if token.tile is None else name_tile(token.tile)
        places.append([f"{name}{where}", box, token.tile])
    return json.dumps(places, separators=(",", ":")).replace('"', "&quot;")


def name_tile(tile: int) -> str:
    return say("Tile {tile}", tile=tile) if tile else say("Global view")


def _show_picture(layout: TileLayout, preview: str) -> str:
    """The picture with its local tiles to point at, and a mark for the token."""
    width, height = layout.image_size
    tiles = ""
    for tile in range(1, layout.num_tiles):
        indices = layout.token_range(tile)
        boxes = [box for index in indices if (box := layout.token(index).box)]
        if not boxes:
            continue  # nothing but padding
        left, top, right, bottom = _surround(boxes)
        tiles += (
            f'<rect class="tile" tabindex="0" role="button" aria-label="{name_tile(tile)}" data-tile="{tile}" '
            f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" class="map" role="group" aria-label="{say("Tiles of the picture")}">'
        f'<image href="{file_address(preview)}" width="{width}" height="{height}" preserveAspectRatio="none"/>{tiles}'
        '<rect class="token" width="0" height="0"/></svg>'
    )


def _surround(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
