"""What a picture costs the released models: the table below the layout in the Tiles tab."""

from __future__ import annotations

from dataclasses import dataclass

from dsvl2_app.image.tiles import TileLayout

BYTES = 2  # bfloat16
RELEASED_TILE = 384  # px


@dataclass(frozen=True, slots=True)
class Released:
    name: str
    cache: int  # numbers that the KV cache holds per token
    plain: int  # and that plain attention with these heads would hold
    tile: float  # floating point operations to encode a tile


RELEASED = (
    Released("tiny", 30_720, 30_720, 669.4e9),
    Released("small", 15_552, 138_240, 671.8e9),
    Released("base", 17_280, 307_200, 673.6e9),
)


def show_budget(layout: TileLayout) -> str:
    """Nothing for tiles of another size than theirs."""
    if layout.geometry.tile != RELEASED_TILE:
        return ""
    rows = "".join(
        f"<tr><th>{model.name}</th><td>{_megabytes(layout.num_tokens * model.cache)}</td>"
        f"<td>{_megabytes(layout.num_tokens * model.plain)}</td>"
        f"<td>{layout.num_tiles * model.tile / 1e12:.1f} TFLOP</td></tr>"
        for model in RELEASED
    )
    return (
        '<table class="budget"><caption>What this picture costs the released models</caption><thead><tr><th></th>'
        "<th>KV cache</th><th>with plain attention</th><th>vision</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _megabytes(numbers: int) -> str:
    return f"{numbers * BYTES / 1e6:,.1f} MB"
