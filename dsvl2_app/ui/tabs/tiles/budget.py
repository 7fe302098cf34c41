"""What pictures cost the released models: the table below the layout in the Tiles tab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvl2_app.image.tiles import TileLayout
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say

BYTES = 2  # bfloat16
CONTEXT = 4096  # tokens
EXPLANATION = (
    "KV cache in bfloat16: small and base keep a latent per token, where plain attention would keep every head's keys "
    "and values; tiny has plain attention."
)


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


def show_budget(layouts: Sequence[TileLayout]) -> str:
    """Of all pictures together. `layouts` are those of the released models."""
    tokens, tiles = sum(layout.num_tokens for layout in layouts), sum(layout.num_tiles for layout in layouts)
    rows = "".join(
        f'<tr><th scope="row">{model.name}</th><td>{tokens:,}</td><td>{tokens / CONTEXT:.0%}</td>'
        f"<td>{_megabytes(tokens * model.cache)}</td><td>{_megabytes(tokens * model.plain)}</td>"
        f"<td>{tiles * model.tile / 1e12:.1f} TFLOP</td></tr>"
        for model in RELEASED
    )
    what = say("What this picture costs the released models")
    if len(layouts) > 1:
        what = say("What these {number} pictures cost the released models together", number=len(layouts))
    names = (say("Model"), say("Tokens"), f"/ {CONTEXT:,}", *map(say, ("KV cache", "with plain attention", "Vision")))
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    full = ""
    if tokens >= CONTEXT:
        words = "That is {excess:,} tokens too many to leave room for an answer."
        full = f"<p>{say(words, excess=tokens - CONTEXT + 1)}</p>"
    return (
        f'<div class="budget"><p>{what} ({wording.count(tiles, "tile")})</p><div class="scroll" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{full}<p>{say(EXPLANATION)}</p></div>"
    )


def _megabytes(numbers: int) -> str:
    return f"{numbers * BYTES / 1e6:,.1f} MB"
