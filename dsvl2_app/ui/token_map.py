"""The tokens of a picture as a strip and over the picture: pointing at either shows its place in the other.

The page's script (assets/tokens.js) moves the marks; what it needs is in data attributes here.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from dsvl2_app.image.tiles import Box, TileLayout

NAMES = {"global": "Global view", "separator": "Separator", "local": "Tiles"}


def token_parts(layout: TileLayout) -> list[dict[str, Any]]:
    """The three stretches of an image's tokens."""
    side = layout.geometry.tokens_per_side
    columns, rows = layout.grid
    separator = side * (side + 1)
    return [
        {"kind": "global", "first": 0, "last": separator - 1, "rows": side, "columns": side},
        {"kind": "separator", "first": separator, "last": separator},
        {
            "kind": "local",
            "first": separator + 1,
            "last": layout.num_tokens - 1,
            "rows": rows * side,
            "columns": columns * side,
        },
    ]


def show_tokens(layout: TileLayout, preview: str) -> str:
    """`preview` is the file that shows the picture."""
    strip, legend = "", ""
    for part in token_parts(layout):
        kind, first, last = part["kind"], part["first"], part["last"]
        strip += f'<span class="{kind}" style="flex-grow:{last - first + 1}"></span>'
        if kind == "separator":
            span = f"token {first:,}"
        else:
            span = f"tokens {first:,} to {last:,}: {part['rows']} rows of {part['columns']} and a newline"
        legend += f'<li class="{kind}"><strong>{NAMES[kind]}</strong><small>{span}</small></li>'
    last = layout.num_tokens - 1
    title = f"The {layout.num_tokens:,} tokens in order"
    return (
        f'<section class="tokens" data-places="{_describe_places(layout)}"><h3>{title}</h3>'
        f'<div class="strip" aria-hidden="true">{strip}</div>'
        f'<input type="range" min="0" max="{last}" value="0" aria-label="Token">'
        '<output class="place" role="status">Point at the strip or at a tile.</output>'
        f"<ul>{legend}</ul>{_show_picture(layout, preview)}</section>"
        "<h3>What the model gets: the global view, then the tiles row by row</h3>"
    )


def _describe_places(layout: TileLayout) -> str:
    """For every token what it is, and the px that it looks at, as an attribute's value."""
    places = []
    for token in layout.tokens():
        where = f", row {token.row}, column {token.column}" if token.row is not None else ""
        tile = "" if token.tile is None else "global view" if token.tile == 0 else f"tile {token.tile}"
        box = None if token.box is None else [round(edge, 1) for edge in token.box]
        places.append([f"{tile or token.kind}{where}", box])
    return json.dumps(places, separators=(",", ":")).replace('"', "&quot;")


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
        label = f"Tile {tile}: {len(indices)} tokens in rows, from {indices[0]:,} to {indices[-1]:,}"
        tiles += (
            f'<rect class="tile" tabindex="0" role="button" aria-label="{label}" data-first="{indices[0]}" '
            f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
        )
    source = quote(f"gradio_api/file={preview}", safe="/=")
    return (
        f'<svg viewBox="0 0 {width} {height}" class="map" role="group" aria-label="Tiles of the picture">'
        f'<image href="{source}" width="{width}" height="{height}" preserveAspectRatio="none"/>{tiles}'
        '<rect class="token" width="0" height="0"/></svg>'
    )


def _surround(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
