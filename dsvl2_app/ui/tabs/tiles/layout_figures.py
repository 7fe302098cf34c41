"""A tile layout in numbers and words: its summary, why its grid was chosen, the table of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from dsvl2_app.image.tiles import Candidate, TileLayout
from dsvl2_app.request import ModelCard
from dsvl2_app.ui.words.translations import say

ALL_GRIDS = "All grids that the model knows, best first"
TERMS = (
    "Kept, or effective, are at most as many px as the picture has; all else of the canvas is wasted: its padding, and "
    "what enlarging the picture adds."
)
HEADERS = ["Rank", "Grid", "Canvas px", "Scale", "Effective px", "Wasted px"]


def show_summary(layouts: Sequence[TileLayout], place: int, card: ModelCard) -> str:
    """Of the picture at `place`, and with several pictures of all of them."""
    layout = layouts[place]
    columns, rows = layout.grid
    (width, height), (canvas_width, canvas_height) = layout.image_size, layout.canvas
    left, top, right, bottom = layout.content
    canvas = canvas_width * canvas_height
    padding = canvas - (right - left) * (bottom - top)
    figures = [
        (f"{columns} × {rows}", say("grid of tiles, columns by rows; and the global view")),
        (f"{layout.num_tokens:,}", _describe_tokens(layout, layouts, card)),
        (
            f"{layout.scale:.3g}×",
            say(
                "from {width:,} × {height:,} px to {across:,} × {down:,} px",
                width=width,
                height=height,
                across=right - left,
                down=bottom - top,
            ),
        ),
        (
            f"{padding / canvas:.0%}",
            say(
                "padding, {padding:,} of {width:,} × {height:,} px",
                padding=padding,
                width=canvas_width,
                height=canvas_height,
            ),
        ),
    ]
    return (
        '<dl class="figures">'
        + "".join(f"<div><dt>{what}</dt><dd>{figure}</dd></div>" for figure, what in figures)
        + "</dl>"
    )


def _describe_tokens(layout: TileLayout, layouts: Sequence[TileLayout], card: ModelCard) -> str:
    """What the number of a layout's tokens is a share of, and with several pictures that of all of them."""
    share = layout.num_tokens / card.context
    words = say("tokens, {share:.0%} of {model}'s context", share=share, model=escape(card.name))
    if len(layouts) > 1:
        total = sum(each.num_tokens for each in layouts)
        more = {"number": len(layouts), "total": total, "share": total / card.context}
        words += say("; all {number} pictures {total:,}, {share:.0%}", **more)
    return words


def explain_choice(layout: TileLayout, *, tiling: bool) -> str:
    """Why this grid won."""
    best, *others = sorted(layout.candidates, key=lambda candidate: candidate.rank)
    if not tiling:
        reason = say("With more than two pictures in the conversation, every picture is a single tile.")
    elif not others:
        reason = say("It is the only grid that is allowed.")
    else:
        reason = _compare(best, others)
    return (
        f'<p class="reason"><strong>{say("Why {grid}?", grid=_name(layout.grid))}</strong> {reason}</p>'
        f'<p class="terms">{say(TERMS)}</p>'
    )


def name_table(layout: TileLayout, *, tiling: bool, limited: bool) -> str:
    """What `tabulate` lists."""
    if not tiling:
        return say("The grid that is used, then all others that are allowed, best first")
    if limited:
        return say("The {number} grids that the limit of tiles allows, best first", number=len(layout.candidates))
    return say(ALL_GRIDS)


def _compare(best: Candidate, others: Sequence[Candidate]) -> str:
    equal = [other for other in others if other.effective == best.effective]
    if not equal:
        second = others[0]
        return say(
            "It keeps {kept:,} px of the picture, more than any other grid; {second} comes next with {less:,}.",
            kept=best.effective,
            second=_name(second.grid),
            less=second.effective,
        )
    values = {
        "kept": best.effective,
        "wasted": best.wasted,
        "number": len(equal),
        "second": _name(equal[0].grid),
        "more": equal[0].wasted,
    }
    if equal[0].wasted > best.wasted:
        if len(equal) == 1:
            return say(
                "It keeps {kept:,} px of the picture, as {second} does, and wastes less: {wasted:,} px of its canvas, "
                "against {more:,}.",
                **values,
            )
        return say(
            "It keeps {kept:,} px of the picture, as {number} other grids do, and of these wastes the least: "
            "{wasted:,} px of its canvas, against {more:,} for {second}.",
            **values,
        )
    return say(
        "It keeps {kept:,} px of the picture and wastes {wasted:,} px, just as {second}; "
        "it comes first in the model's list.",
        **values,
    )


def _name(grid: tuple[int, int]) -> str:
    return f"{grid[0]} × {grid[1]}"


def tabulate(layout: TileLayout) -> list[list[Any]]:
    """A row for each grid, the chosen one first, then the best."""
    return [
        [
            candidate.rank,
            _name(candidate.grid) + (say(" (chosen)") if candidate.chosen else ""),
            f"{candidate.resolution[0]:,} × {candidate.resolution[1]:,}",
            f"{candidate.scale:.3f}",
            f"{candidate.effective:,}",
            f"{candidate.wasted:,}",
        ]
        for candidate in sorted(layout.candidates, key=lambda each: (not each.chosen, each.rank))
    ]
