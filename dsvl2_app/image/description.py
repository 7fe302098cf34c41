"""A tile layout as plain values: what /tiles and the terminal hand out as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dsvl2_app.image.tiles import TileLayout


def describe_layout(layout: TileLayout) -> dict[str, Any]:
    """Sizes and places in px, counts, the parts of the token sequence, and all candidates, best first."""
    return {
        "size": layout.image_size,
        "grid": layout.grid,
        "canvas": layout.canvas,
        "content": layout.content,
        "scale": layout.scale,
        "tiles": layout.num_tiles,
        "tokens": layout.num_tokens,
        "parts": token_parts(layout),
        "candidates": [asdict(candidate) for candidate in sorted(layout.candidates, key=lambda each: each.rank)],
    }


def token_parts(layout: TileLayout) -> list[dict[str, Any]]:
    """The three stretches of an image's tokens, the last token of each included."""
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
